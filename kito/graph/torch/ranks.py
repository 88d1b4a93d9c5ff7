"""Numbers of axes in a trace: what of a forward's control flow is the same for all inputs.

``torch.fx`` traces without values, so it cannot tell where ``if x.dim() == 4`` goes, nor how many
sizes ``*x.shape[2:]`` holds. Both depend on nothing but the number of axes of a tensor. That is the
same for all inputs that have as many axes as the example, and is found by running the calls before
on tensors without values (PyTorch's device ``meta``).
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from kito.errors import KitoError

RANK = ("ndim", "dim", "ndimension")
"""What asks a tensor for its number of axes."""
_OF_SIZES = ("squeeze", "squeeze_", "squeeze_copy")
"""Functions whose results have more or fewer axes, depending on sizes."""
_PLAIN = ("torch", "_operator", "builtins", "math")
"""The packages whose functions return the same number of axes for the same numbers of axes."""
_METHODS = {name: getattr(nn.Module, name) for name in ("__call__", "__getattr__")}
"""What ``torch.fx`` replaces while it traces."""


class RankUnknown(KitoError):
    """A number of axes is not known, or a value depends on more than numbers of axes."""


class Ranks:
    """The numbers of axes of the tensors of a trace that goes on.

    Args:
        root: the module that is traced.
        graph: its calls so far.
        inputs: the positional arguments of the example.
        closed: the paths of the modules whose calls may return anything.

    Attributes:
        asked: whether somebody asked.
    """

    def __init__(
        self, root: nn.Module, graph: fx.Graph, inputs: tuple[Any, ...], closed: Collection[str]
    ) -> None:
        self.root, self.graph, self.closed = root, graph, closed
        self.asked = False
        self._values: dict[fx.Node, Any] = {}
        self._inputs = pytree.tree_map(
            lambda x: x.detach().to("meta") if isinstance(x, torch.Tensor) else x, inputs
        )

    def value(self, node: fx.Node) -> Any:
        """The value of a call that depends on numbers of axes only: a rank, or a comparison of one.

        Raises:
            RankUnknown: it depends on something else.
        """
        if not self._from_ranks(node):
            raise RankUnknown(f"'{node.name}' depends on more than numbers of axes")
        self.asked = True
        return self._run(node)

    def length(self, node: fx.Node) -> int:
        """How many sizes a shape holds, or a part of one.

        Raises:
            RankUnknown: it is no shape, or its length is not known.
        """
        shape = self._run(node)
        if not isinstance(shape, torch.Size):
            raise RankUnknown(f"'{node.name}' is no shape")
        self.asked = True
        return len(shape)

    def _from_ranks(self, node: fx.Node) -> bool:
        pending, seen = [node], {node}
        while pending:
            call = pending.pop()
            if _asks_rank(call):
                continue
            is_plain = getattr(call.target, "__module__", "") == operator.eq.__module__
            if call.op != "call_function" or not is_plain or not call.all_input_nodes:
                return False
            pending += [x for x in call.all_input_nodes if x not in seen]
            seen.update(call.all_input_nodes)
        return True

    def _run(self, node: fx.Node) -> Any:
        """What a call returns, of tensors without values."""
        needed, pending = {node}, [node]
        while pending:
            new = [x for x in pending.pop().all_input_nodes if x not in needed]
            needed.update(x for x in new if x not in self._values)
            pending += [x for x in new if x not in self._values]
        places = [x for x in self.graph.nodes if x.op == "placeholder"]
        with torch.no_grad(), _not_traced():
            for call in self.graph.nodes:
                if call in needed and call not in self._values:
                    if call.op == "placeholder":
                        self._values[call] = self._input(call, places.index(call))
                    else:
                        self._values[call] = self._called(call)
        return self._values[node]

    def _input(self, node: fx.Node, index: int) -> Any:
        value = self._inputs[index] if index < len(self._inputs) else None
        if not isinstance(value, torch.Tensor) or str(node.target).startswith("*"):
            raise RankUnknown(f"the argument '{node.target}' is no tensor in the example")
        return value

    def _called(self, node: fx.Node) -> Any:
        args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda x: self._values[x])
        try:
            if node.op == "get_attr":
                return operator.attrgetter(str(node.target))(self.root).detach().to("meta")
            if node.op == "call_module":
                return self._module(str(node.target), args, kwargs)
            name = str(node.target)
            if node.op == "call_function":
                name = getattr(node.target, "__name__", "")
                package = str(getattr(node.target, "__module__", None) or "torch")
                if package.partition(".")[0] not in _PLAIN:
                    raise RankUnknown(f"'{name}' may return any number of axes")
            if name in _OF_SIZES or self._counts_by_size(node):
                raise RankUnknown(f"what '{name}' returns may have axes that depend on sizes")
            if node.op == "call_method":
                return getattr(args[0], name)(*args[1:], **kwargs)
            return node.target(*args, **kwargs)
        except RankUnknown:
            raise
        except Exception as error:  # whatever PyTorch cannot do without values
            raise RankUnknown(f"'{node.name}' cannot be run without values: {error}") from error

    def _counts_by_size(self, node: fx.Node) -> bool:
        """Whether a call repeats or cuts a list of sizes by a number that may be one of them."""
        if node.target is operator.getitem and isinstance(node.args[1], slice):
            cut = node.args[1]
            numbers = [x for x in (cut.start, cut.stop, cut.step) if isinstance(x, fx.Node)]
        elif node.target is operator.mul and any(isinstance(x, tuple | list) for x in node.args):
            numbers = node.all_input_nodes
        else:
            return False
        return not all(self._from_ranks(x) for x in numbers)

    def _module(self, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if path in self.closed:
            raise RankUnknown(f"'{path}' may return any number of axes")
        module = self.root.get_submodule(path)
        tensors = {
            name: x.detach().to("meta")
            for name, x in (*module.named_parameters(), *module.named_buffers())
        }
        return torch.func.functional_call(module, tensors, args, kwargs)


def _asks_rank(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in RANK
    return node.target is getattr and node.args[1] in RANK


@contextmanager
def _not_traced() -> Iterator[None]:
    """Modules can be called here, in the middle of a trace."""
    traced = {name: getattr(nn.Module, name) for name in _METHODS}
    try:
        for name, method in _METHODS.items():
            setattr(nn.Module, name, method)
        yield
    finally:
        for name, method in traced.items():
            setattr(nn.Module, name, method)
