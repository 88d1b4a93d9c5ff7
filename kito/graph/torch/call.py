"""One call of a function or a method, as the descriptions of functions take it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from kito.graph.torch.describe import Described, NotDescribed

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Call:
    """One call of a function or a method.

    Attributes:
        node: the call in the trace.
        args, kwargs: its arguments, with constants in the place of their nodes.
        shapes: the shapes of the tensors that it takes, by node.
        shape: the shape of its result.
        dtype: of the tensors that it takes, and of its result.
    """

    node: fx.Node
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shapes: dict[fx.Node, Shape]
    shape: Shape
    dtype: str

    def bind(self, names: Sequence[str], **defaults: Any) -> dict[str, Any]:
        """The arguments by name; raises NotDescribed for others than ``names``."""
        if len(self.args) > len(names) or not set(self.kwargs) <= set(names):
            raise NotDescribed("")
        return {**defaults, **dict(zip(names, self.args, strict=False)), **self.kwargs}

    @property
    def rank(self) -> int:
        """The number of axes of the tensor that it takes first."""
        return len(self.shapes[self.node.all_input_nodes[0]])

    @property
    def operands(self) -> list[fx.Node]:
        """The tensors that it takes."""
        return [x for x in self.node.all_input_nodes if x in self.shapes]


def name_of(node: fx.Node) -> str:
    """The name of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else str(node.target.__name__)


Describe = Callable[[Call], Described]
"""Describes a call; raises NotDescribed where that is not known."""


def check_only(call: Call, first: Any) -> None:
    """Raise NotDescribed unless ``first`` is the only tensor that is no constant."""
    if call.operands != [first]:
        raise NotDescribed("")


def check_constants(*values: Any) -> None:
    """Raise NotDescribed unless each of ``values`` is a tensor or None."""
    if any(x is not None and not isinstance(x, torch.Tensor) for x in values):
        raise NotDescribed("its weights are computed")
