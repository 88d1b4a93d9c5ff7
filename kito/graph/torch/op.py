"""Ops of a graph that was read from PyTorch, and the descriptions that stand for their layers.

An op's ``layer`` is never built or called. It says what the call computes: a layer of Keras' own,
where there is one with the same meaning, or one of the descriptions here. The weights are NumPy
arrays in the layout of that layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kito.graph.ir import Op


class Description(keras.Layer):  # type: ignore[misc]
    """Stands for a call that no layer of Keras' own describes.

    Args:
        dtype: what it computes in.
        channels_first: whether the channels are on axis 1; otherwise they are on the last axis.
    """

    def __init__(self, dtype: str, channels_first: bool = True) -> None:
        super().__init__(name="description", dtype=dtype)
        self.data_format = "channels_first" if channels_first else "channels_last"


class Mean(Description):
    """Each output is a weighted mean of elements of one channel: pooling, resizing, reflection."""


class Largest(Description):
    """Each output is the largest of some elements of one channel."""


class ZeroPadded(Description):
    """Each output is a weighted sum of elements of one channel, and of padded zeros."""


class Rectifier(Description):
    """Elementwise ``f`` with ``f(s * x) = s * f(x)`` for positive ``s``: ReLU and its kin."""


class Unchanged(Description):
    """The same elements, perhaps in another order of memory: it is no identity to what follows."""


class ChannelAffine(Description):
    """``scale * x + shift`` with constants, which broadcast to the shape of ``x``."""

    def __init__(self, dtype: str, scale: np.ndarray, shift: np.ndarray) -> None:
        super().__init__(dtype)
        self.scale, self.shift = scale, shift


class WideConvolution(Description):
    """A convolution with strides and dilations; its kernel is that of a layer of Keras."""

    def __init__(self, dtype: str, groups: int) -> None:
        super().__init__(dtype)
        self.groups, self.padding, self.use_bias = groups, "valid", True


class TransposedConvolution(Description):
    """A transposed convolution; its kernel is (*window, groups, out / groups, in / groups)."""

    def __init__(self, dtype: str) -> None:
        super().__init__(dtype)
        self.use_bias = True


@dataclass(frozen=True)
class Opaque:
    """Stands for a call of which nothing is known: no affine passes it.

    Attributes:
        kind: the name of the module's class or of the function.
        reason: why it stays as it is; empty where only nobody has described it.
    """

    kind: str
    reason: str = ""


class TorchOp(Op):
    """A module of PyTorch, or a call of a function.

    Args:
        layer: what it computes: a layer that is not built, or a description.
        name: the path of the module, or the name of the call in the traced graph.
        kind: the name of the module's class or of the function, for messages.
        values: the weights by the names that they have in ``layer``.

    Attributes:
        template: a module whose weights the writer replaces where passes changed them; None where
            no pass can.
    """

    def __init__(self, layer: Any, name: str, kind: str, values: Mapping[str, np.ndarray]) -> None:
        super().__init__(layer, name)
        self.runtime = "torch"
        self.kind, self.values = kind, dict(values)
        self.template: Any = None

    @property
    def type_name(self) -> str:
        return self.kind

    def weight(self, name: str) -> np.ndarray | None:
        value: np.ndarray | None = self.weights.get(name, self.values.get(name))
        return value

    def change(self, weights: Mapping[str, np.ndarray | None], config: Mapping[str, Any]) -> None:
        self.weights.update(weights)
        self.config.update(config)

    def settings(self) -> dict[str, Any]:
        return {"op": id(self)}  # the description leaves out what no transfer asks for

    def copy(self, name: str) -> TorchOp:
        new = TorchOp(self.layer, name, self.kind, self.values)
        new.weights, new.config, new.fixed = dict(self.weights), dict(self.config), self.fixed
        new.template = self.template
        return new

    @property
    def changed(self) -> bool:
        """Whether a pass changed it."""
        return bool(self.weights or self.config)
