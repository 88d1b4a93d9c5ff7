"""Sums, products and their like, of two tensors or of a tensor and a constant; and joins."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from keras import layers
from torch import fx

from kito.graph.torch import describe
from kito.graph.torch.call import Call, Describe, check_only
from kito.graph.torch.describe import Described, NotDescribed
from kito.graph.torch.op import ChannelAffine


def concatenate(call: Call) -> Described:
    """``torch.cat`` of tensors, along another axis than the batch."""
    given = call.bind(["tensors", "dim"], dim=0)
    operands = given["tensors"]
    if not isinstance(operands, tuple | list) or not isinstance(given["dim"], int):
        raise NotDescribed("")
    if not all(x in call.shapes for x in operands):
        raise NotDescribed("it joins constants too")
    axis = given["dim"] % len(call.shape)
    if axis == 0 or len({len(call.shapes[x]) for x in operands}) > 1:
        raise NotDescribed("it joins along the batch")
    layer = layers.Concatenate(axis=axis, name="description", dtype=call.dtype)
    return Described(layer, joined=True)


def arithmetic(sign: str) -> Describe:
    """A sum, difference, product or quotient of two tensors, or of a tensor and a constant."""

    def known(call: Call) -> Described:
        given = call.bind(["input", "other"])
        one, other = given["input"], given["other"]
        tensors = [x for x in (one, other) if isinstance(x, fx.Node) and x in call.shapes]
        if len(tensors) == 2:
            if sign == "+":
                return Described(layers.Add(name="description", dtype=call.dtype), joined=True)
            if sign == "*":
                product = layers.Multiply(name="description", dtype=call.dtype)
                return Described(product, joined=True)
            raise NotDescribed("")
        first = tensors == [one]
        constant = _constant(other if first else one, call.dtype)
        scale, shift = _ones(sign, constant, first)
        if call.shape != call.shapes[tensors[0]]:
            raise NotDescribed("it broadcasts its tensor")
        return Described(ChannelAffine(call.dtype, scale, shift))

    return known


def _constant(value: Any, dtype: str) -> np.ndarray:
    """A number or a constant tensor as the operation takes it, in float64."""
    if isinstance(value, torch.Tensor):
        if describe.dtype_name(value.dtype) != dtype and value.ndim:
            raise NotDescribed("its constant has another dtype")
        return np.asarray(value.detach().cpu().double().numpy())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return np.asarray(value, np.float64)
    raise NotDescribed("")


def _ones(sign: str, constant: np.ndarray, first: bool) -> tuple[np.ndarray, np.ndarray]:
    """(scale, shift) of ``x sign constant``, or of ``constant sign x`` where not ``first``."""
    one, zero = np.ones(()), np.zeros(())
    with np.errstate(all="ignore"):
        if sign == "+":
            return one, constant
        if sign == "-":
            return (one, -constant) if first else (-one, constant)
        if sign == "*":
            return constant, zero
        if first:
            return 1.0 / constant, zero
    raise NotDescribed("")


def negative(call: Call) -> Described:
    """``-x``."""
    check_only(call, call.args[0])
    return Described(ChannelAffine(call.dtype, -np.ones(()), np.zeros(())))
