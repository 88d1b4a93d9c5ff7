"""Which calls of a trace are constants, and which only ask for the sizes of tensors.

Neither is a part of the graph that passes edit. A constant is a parameter or a buffer that
functions use, or is computed from such ones alone. What only depends on sizes of tensors, which no
rewrite changes, is computed from the rewritten ones.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from kito.graph.torch.call import name_of
from kito.graph.torch.ranks import RANK
from kito.graph.torch.record import Record

_SIZES = ("shape", "size", "device", "dtype", "is_cuda", "numel")
"""Not strides: a rewrite may change the order of memory."""
_FOLDABLE = frozenset(
    {
        *("reshape", "view", "flatten", "unsqueeze", "squeeze", "permute", "transpose", "expand"),
        *(
            "add",
            "sub",
            "mul",
            "div",
            "truediv",
            "neg",
            "pow",
            "sqrt",
            "rsqrt",
            "exp",
            "reciprocal",
        ),
        *("sum", "mean", "abs", "contiguous", "t", "clamp", "sigmoid", "softplus"),
        *("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_", "floordiv", "mod", "getitem"),
    }
)
"""Functions of constants that are computed once. Each returns the same for the same arguments."""


class Constants:
    """The constants and the sizes of a trace.

    Args:
        root: the module that was traced.
        record: what a run of it told.
        sizes_apart: whether calls that ask for sizes are taken; a rank always is.

    Attributes:
        values: the value of each constant.
        sizes: the calls whose results are known from sizes of tensors, and constants.
    """

    def __init__(self, root: Any, record: Record, sizes_apart: bool) -> None:
        self.root, self.record, self.sizes_apart = root, record, sizes_apart
        self.values: dict[fx.Node, Any] = {}
        self.sizes: set[fx.Node] = set()

    def take(self, node: fx.Node) -> bool:
        """Whether the call, whose inputs were all taken before where they could be, is either."""
        if node.op == "get_attr":
            self.values[node] = operator.attrgetter(str(node.target))(self.root)
            return True
        if node.op not in ("call_function", "call_method"):
            return False
        if self._asks_rank(node) or self._folds(node):
            return True
        inputs = node.all_input_nodes
        from_sizes = bool(inputs) and all(x in self.sizes or x in self.values for x in inputs)
        tensor = node in self.record.specs
        mutates = node in self.record.mutated
        effect = name_of(node) in ("_assert", "_assert_async") or node.is_impure()
        if self._asks_sizes(node) or (from_sizes and not tensor and not mutates and not effect):
            self.sizes.add(node)
            return True
        return False

    def argument(self, value: Any) -> Any:
        """An argument of a call, with constants in the place of their nodes."""
        return fx.map_arg(value, lambda x: self.values.get(x, x))

    def _asked(self, node: fx.Node) -> str:
        """What a call asks of a tensor that is no constant; empty where it asks for nothing."""
        source = node.args[0] if node.args else None
        if source not in self.record.specs or source in self.values:
            return ""
        if node.op == "call_method":
            return str(node.target)
        return str(node.args[1]) if node.target is getattr else ""

    def _asks_rank(self, node: fx.Node) -> bool:
        if self._asked(node) not in RANK:
            return False
        self.values[node] = len(self.record.specs[node.args[0]].shape)
        return True

    def _asks_sizes(self, node: fx.Node) -> bool:
        return self.sizes_apart and self._asked(node) in _SIZES

    def _folds(self, node: fx.Node) -> bool:
        inputs = node.all_input_nodes
        if not inputs or not all(x in self.values for x in inputs):
            return False
        if name_of(node) not in _FOLDABLE or node in self.record.mutated:
            return False
        args, kwargs = self.argument(node.args), self.argument(node.kwargs)
        with torch.no_grad():
            if node.op == "call_method":
                self.values[node] = getattr(args[0], str(node.target))(*args[1:], **kwargs)
            else:
                self.values[node] = node.target(*args, **kwargs)
        return True
