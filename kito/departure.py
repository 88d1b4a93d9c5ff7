"""The first layer, in topological order, at which a reduced model departs from its original.

A layer of the reduced model stands for its namesake in the original and for those behind it that
have vanished: a convolution that absorbed a normalization has the output that this one had. Where
an affine moved further, layers between differ and what follows agrees again, so a layer departs
only if nothing behind it agrees.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kito.errors import UnsupportedModelError
from kito.graph import layer_tensors, read_graph
from kito.inputs import Inputs, batch_limit, batches, call_arguments, renamed_inputs
from kito.loaded import LoadedFile
from kito.nodes import Node
from kito.outputs import to_numpy

_SAMPLES = 2


def first_departure(original: Any, reduced: Any, inputs: Inputs, rtol: float) -> str | None:
    """The first layer of ``reduced`` that departs, on the first few samples.

    Args:
        original: the model that is right.
        reduced: the model that differs.
        inputs: samples, by the original's input names.
        rtol: difference to disregard, relative to each tensor's largest absolute value.

    Returns:
        Its name; None where every output agrees, or the models cannot be looked into.
    """
    if isinstance(reduced, LoadedFile):
        return None
    try:
        batch = next(iter(batches(inputs, batch_limit(original, _SAMPLES))))
        got = _outputs(reduced, renamed_inputs(batch, original, reduced))
        expected = _outputs(original, batch)
        stands_for = _vanished(original, {name for name, _ in got})
        nodes = list(read_graph(reduced).nodes)
    except (UnsupportedModelError, ValueError):
        return None
    by_name: dict[str, list[np.ndarray]] = {}
    for name, values in expected:
        by_name.setdefault(name, []).append(values)
    fine: dict[Node, bool] = {}
    compared: set[Node] = set()
    flat = [node for node in nodes for _ in node.outputs]
    for node, (name, values) in reversed(list(zip(flat, got, strict=True))):
        candidates = by_name.get(stands_for.get(name, name), [])
        if candidates:
            compared.add(node)
        agrees = any(_agree(values, x, rtol) for x in candidates)
        behind = any(fine.get(user, False) for x in node.outputs for user in x.users)
        fine[node] = fine.get(node, False) or agrees or behind
    return next((node.op.name for node in nodes if node in compared and not fine[node]), None)


def _vanished(original: Any, names: set[str]) -> dict[str, str]:
    """By layer name, the last of the layers behind it, in a chain, that are not among ``names``."""
    found: dict[str, str] = {}
    for node in read_graph(original).nodes:
        tensor, last = node.outputs[0], node.op.name
        while len(tensor.users) == 1 and tensor.users[0].op.name not in names:
            last, tensor = tensor.users[0].op.name, tensor.users[0].outputs[0]
        found[node.op.name] = last
    return found


def _outputs(model: Any, batch: Inputs) -> list[tuple[str, np.ndarray]]:
    """(layer name, values) of each call of the model, in topological order."""
    pairs = layer_tensors(model)
    inside = keras.Model(model.inputs, [tensor for _, tensor in pairs])
    results = keras.tree.flatten(inside(call_arguments(inside, batch), training=False))
    return [(name, to_numpy(x)) for (name, _), x in zip(pairs, results, strict=True)]


def _agree(a: np.ndarray, b: np.ndarray, rtol: float) -> bool:
    if a.shape != b.shape:
        return False
    scale = float(np.max(np.abs(b), initial=0.0))
    return bool(np.max(np.abs(a.astype(np.float64) - b), initial=0.0) <= rtol * scale)
