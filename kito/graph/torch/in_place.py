"""Calls that change a tensor in place, after a rewrite.

A call may do so where nothing else can see the change: its argument is a tensor that another call
has made new, and it is the only user. A rewrite may have put another tensor in the place of that
one, such as the input of a BatchNormalization in the place of its result. So each such call is
looked at again, and where others could see the change, it makes a new tensor.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

_NEW = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    torch.relu_: torch.relu,
}


def keep_values(
    graph: fx.Graph,
    targets: dict[str, Any],
    fresh: set[fx.Node],
    mutated: dict[fx.Node, list[int]],
) -> None:
    """Let no call of ``graph`` change a tensor that others use.

    Args:
        graph: the calls.
        targets: the modules by path.
        fresh: the calls whose result shares no memory with any other tensor.
        mutated: for calls that change arguments in place, the indices of these.
    """
    for node in list(graph.nodes):
        if node not in mutated:
            continue
        inputs = node.all_input_nodes
        for place in mutated[node]:
            source = inputs[place]
            if source in fresh and len(source.users) == 1:
                continue
            if not _make_new(node, targets):
                with graph.inserting_before(node):
                    clone = graph.call_method("clone", (source,))
                node.replace_input_with(source, clone)
        fresh.add(node)


def _make_new(node: fx.Node, targets: dict[str, Any]) -> bool:
    """Let the call return a new tensor, where it has such a form."""
    if node.op == "call_module":
        module = targets[str(node.target)]
        if type(module).__module__.startswith("torch.nn") and getattr(module, "inplace", False):
            module.inplace = False
            return True
        return False
    if node.op == "call_function" and node.target in _NEW:
        node.target = _NEW[node.target]
        return True
    if node.kwargs.get("inplace") is True:
        node.kwargs = {**node.kwargs, "inplace": False}
        return True
    return False
