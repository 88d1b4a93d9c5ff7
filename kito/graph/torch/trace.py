"""Trace a PyTorch module with ``torch.fx``: which modules and functions it calls, in order.

``torch.fx`` keeps the modules and their paths, so that the names in ``state_dict`` can stay, and
its trace holds for any batch size. ``torch.export`` replaces modules by ATen functions, and a batch
size by that of the example. A module inside that cannot be traced, whose ``forward`` has control
flow that depends on data, say, becomes one opaque call.
"""

from __future__ import annotations

import copy
import inspect
import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from kito.errors import summarize
from kito.graph.torch.tracer import Tracer, has_hooks


class NotTraced(Exception):
    """A module cannot be traced as a whole; the message says why."""


@dataclass(frozen=True)
class Trace:
    """What a module calls.

    Attributes:
        root: the module that was traced.
        graph: its calls.
        closed: the modules inside that are one opaque call, by path, each with the reason.
        attributes: numbers, text and the like that the module holds and its forward did not set.
    """

    root: nn.Module
    graph: fx.Graph
    closed: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


def trace(root: nn.Module, inputs: tuple[Any, ...]) -> Trace:
    """Trace ``root``, for inputs with as many axes, the same flags, and defaults for the rest.

    Args:
        root: the module.
        inputs: the first positional arguments of its ``forward``, as an example. The values of
            tensors change nothing.

    Raises:
        NotTraced: ``root`` cannot be traced as a whole.
    """
    if has_hooks(root):
        raise NotTraced("it has hooks, which a trace would lose")
    closed: dict[str, str] = {}
    held = dict((*root.named_parameters(), *root.named_buffers()))
    versions = {name: x._version for name, x in held.items()}
    while True:
        tracer = Tracer(closed, inputs)
        try:
            double = _same_tensors(root)
            graph = tracer.trace(double, _fixed(double, inputs))
        except Exception as error:  # whatever the forward of a module may raise
            if tracer.failed is None:
                raise NotTraced(f"torch.fx cannot trace it: {summarize(error)}") from error
            closed[tracer.failed] = f"torch.fx cannot trace it: {summarize(error)}"
            continue
        changed = [name for name, x in held.items() if x._version != versions[name]]
        if changed:
            raise NotTraced(f"it changes its own '{changed[0]}'")
        _name_arguments(graph, double)
        _keep_constants(graph, double, root)
        same = {
            name: value
            for name, value in vars(root).items()
            if name != "training" and name[:1] != "_" and _is_plain(value)
            if name in vars(double) and _is_plain(vars(double)[name])
            if vars(double)[name] == value
        }
        return Trace(root, graph, {**closed, **tracer.hooked}, same)


def _same_tensors(root: nn.Module) -> nn.Module:
    """A copy of the modules with the same tensors: a forward may keep what it computes in one."""
    memo: dict[int, Any] = {id(x): x for x in (*root.parameters(), *root.buffers())}
    return copy.deepcopy(root, memo)


def _fixed(root: nn.Module, inputs: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of ``forward`` that keep their values: flags, None, and what is not given."""
    parameters = list(inspect.signature(root.forward).parameters.values())
    positional = [x for x in parameters if x.kind in (x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD)]
    given = {
        x.name: value
        for x, value in zip(positional, inputs, strict=False)
        if value is None or isinstance(value, bool | str)
    }
    defaults = {
        x.name: x.default
        for x in parameters[len(inputs) :]
        if x.default is not inspect.Parameter.empty
        and x.kind in (x.POSITIONAL_OR_KEYWORD, x.KEYWORD_ONLY)
    }
    return given | defaults


def _name_arguments(graph: fx.Graph, root: nn.Module) -> None:
    """Give arguments that keep their defaults their names again: torch.fx numbers them."""
    names = list(inspect.signature(root.forward).parameters)
    places = [node for node in graph.nodes if node.op == "placeholder"]
    for node, name in zip(places, names, strict=False):
        if re.fullmatch(rf"{re.escape(name)}_\d+", str(node.target)):
            node.target = name


def _is_plain(value: Any, depth: int = 8) -> bool:
    """Whether a value is plain data: numbers, text, and lists and dicts of them, not too deep."""
    if isinstance(value, dict):
        value = [x for item in value.items() for x in item]
    if isinstance(value, tuple | list | set | frozenset):
        return depth > 0 and all(_is_plain(x, depth - 1) for x in value)
    return value is None or isinstance(
        value, bool | int | float | complex | str | torch.dtype | torch.device
    )


def _keep_constants(graph: fx.Graph, double: nn.Module, root: nn.Module) -> None:
    """Give ``root`` the tensors that its forward made of constants: torch.fx keeps them apart."""
    for node in graph.nodes:
        if node.op == "get_attr" and "." not in node.target and not hasattr(root, node.target):
            setattr(root, node.target, getattr(double, node.target))


def shared_parameters(root: nn.Module) -> dict[int, list[str]]:
    """The parameters and buffers that several modules hold, by id, with their paths.

    A module that is registered under several names counts once.
    """
    paths: dict[int, list[str]] = {}
    for path, module in root.named_modules():
        for name, value in (*module._parameters.items(), *module._buffers.items()):
            if value is not None:
                paths.setdefault(memory_of(value), []).append(f"{path}.{name}".lstrip("."))
    return {key: names for key, names in paths.items() if len(names) > 1}


def memory_of(value: torch.Tensor) -> int:
    """What is equal for tensors that share their memory."""
    try:
        return int(value.untyped_storage().data_ptr()) or id(value)
    except (RuntimeError, NotImplementedError):  # a tensor without storage
        return id(value)


def is_shared(value: torch.Tensor, shared: dict[int, list[str]]) -> bool:
    """Whether ``value`` is one of ``shared``."""
    return memory_of(value) in shared
