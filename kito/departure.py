"""The first layer, in topological order, at which a reduced model departs from its original."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kito.errors import UnsupportedModelError
from kito.graph import layer_tensors, read_graph
from kito.inputs import Inputs, batch_limit, batches, call_arguments
from kito.outputs import to_numpy

_RTOL = 1e-3
_SAMPLES = 2


def first_departure(original: Any, reduced: Any, inputs: Inputs, rtol: float = _RTOL) -> str | None:
    """The first layer of ``reduced`` whose output is none of the original.

    A convolution that absorbed a normalization has the output that the normalization had, so the
    output of a reduced layer may be that of its namesake or of one that follows it.

    Returns:
        Its name; None where every output agrees, or the models cannot be looked into.
    """
    try:
        ours, theirs = layer_tensors(reduced), layer_tensors(original)
        after = _followers(original)
        batch = next(iter(batches(inputs, batch_limit(original, _SAMPLES))))
        got = _run(reduced, [x for _, x in ours], batch)
        expected = _run(original, [x for _, x in theirs], batch)
    except (UnsupportedModelError, ValueError):
        return None
    by_name: dict[str, list[np.ndarray]] = {}
    for (name, _), values in zip(theirs, expected, strict=True):
        by_name.setdefault(name, []).append(values)
    for (name, _), values in zip(ours, got, strict=True):
        candidates = [x for n in [name, *after.get(name, ())] for x in by_name.get(n, ())]
        if candidates and not any(_agree(values, x, rtol) for x in candidates):
            return name
    return None


def _followers(model: Any) -> dict[str, list[str]]:
    """By layer name, the layers after it in a chain in which each has that one user."""
    graph = read_graph(model)
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        chain: list[str] = []
        tensor = node.outputs[0]
        while len(tensor.users) == 1 and len(chain) < 4:
            user = tensor.users[0]
            chain.append(user.op.name)
            tensor = user.outputs[0]
        found.setdefault(node.op.name, []).extend(chain)
    return found


def _run(model: Any, tensors: list[Any], batch: Inputs) -> list[np.ndarray]:
    inside = keras.Model(model.inputs, tensors)
    arguments = call_arguments(inside, batch)
    return [to_numpy(x) for x in keras.tree.flatten(inside(arguments, training=False))]


def _agree(a: np.ndarray, b: np.ndarray, rtol: float) -> bool:
    if a.shape != b.shape:
        return False
    scale = float(np.max(np.abs(b), initial=0.0))
    return bool(np.max(np.abs(a.astype(np.float64) - b), initial=0.0) <= rtol * scale)
