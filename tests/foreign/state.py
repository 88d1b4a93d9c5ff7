"""All that can be seen of a model, to show that reducing it left it as it was."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import tree
from numpy.typing import NDArray

from kito.graph.keras_internals import all_layers
from kito.runtime.batch import Inputs, call_arguments


@dataclass(frozen=True)
class State:
    """What a model is, as far as its user can tell, and Keras' record of its calls."""

    weights: dict[str, NDArray[Any]]
    config: str
    summary: str
    outputs: list[NDArray[Any]]
    file: dict[str, bytes]
    """Each part of the saved file but its date; or the error of ``save``, under ``error``."""
    inbound: dict[int, int]
    """By layer, how many calls of it Keras has on record."""


def state_of(model: Any, inputs: Inputs, folder: Path, *, random: bool = False) -> State:
    """``random``: each call gives other outputs and another state of the generators;
    both are left out.

    The file goes first: some layers bring their weights up to date when they are saved.
    """
    file = _saved(model, folder)
    return State(
        weights={
            f"{i} {x.path}": np.array(x)
            for i, x in enumerate(model.weights)
            if not (random and x.name == "seed_generator_state")
        },
        config=config_of(model),
        summary=_summary(model),
        outputs=[] if random else outputs_of(model, inputs),
        file=file,
        inbound={id(x): len(x._inbound_nodes) for x in (model, *all_layers(model))},
    )


def differences(before: State, after: State, shared: set[int]) -> list[str]:
    """In words, what is not as before; the calls of layers in ``shared`` may be one more."""
    found = [x.name for x in fields(State) if x.name not in ("inbound", "weights", "outputs")]
    found = [name for name in found if getattr(before, name) != getattr(after, name)]
    if before.weights.keys() != after.weights.keys():
        found.append("the names of the weights")
    else:
        found += [
            f"weight {name}"
            for name, value in before.weights.items()
            if not np.array_equal(value, after.weights[name], equal_nan=True)
        ]
    found += [
        f"output {i}"
        for i, (a, b) in enumerate(zip(before.outputs, after.outputs, strict=True))
        if not np.array_equal(a, b, equal_nan=True)
    ]
    if before.inbound.keys() != after.inbound.keys():
        found.append("its layers")
    more = {x for x, count in before.inbound.items() if after.inbound.get(x, count) != count}
    return found + ["the calls of a layer"] * bool(more - shared)


def config_of(model: Any) -> str:
    """``get_config()`` as text; the error where it raises one."""
    try:
        return json.dumps(model.get_config(), default=repr)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _summary(model: Any) -> str:
    lines: list[str] = []
    model.summary(line_length=120, print_fn=lines.append, expand_nested=True)
    return "\n".join(lines)


def outputs_of(model: Any, inputs: Inputs) -> list[NDArray[Any]]:
    """Flat, of an eager call in inference."""
    outputs = model(call_arguments(model, inputs), training=False)
    return [keras.ops.convert_to_numpy(x) for x in tree.flatten(outputs)]


def _saved(model: Any, folder: Path) -> dict[str, bytes]:
    path = folder / "model.keras"
    try:
        model.save(path)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".encode()}
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist() if name != "metadata.json"}
    path.unlink()
    return parts
