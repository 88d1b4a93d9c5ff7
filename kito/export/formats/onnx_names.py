"""An ONNX graph in an order and with names that follow from what it computes alone.

tf2onnx merges what is equal, and which of the equal nodes stays, with its name, depends on where
they lie in memory. Names hold a number that counts up as long as the process lives, too. So nodes
are put in the order in which the outputs need them, and everything inside is named by that order.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any


def make_canonical(graph: Any, outputs: Sequence[str]) -> None:
    """Order and name a ``GraphProto`` in place. What it computes, takes and gives is the same.

    Args:
        graph: the graph.
        outputs: its outputs' names in the order to have; others, or too few, leave the order.
    """
    by_name = {x.name: x for x in graph.output}
    if set(by_name) == set(outputs):
        ordered = [by_name[name] for name in outputs]
        del graph.output[:]
        graph.output.extend(ordered)
    graph.doc_string = ""
    places = {x.name: place for place, x in enumerate(graph.output)}
    for node in graph.node:
        # One tensor that is several outputs: either may be the copy of the other.
        if node.op_type == "Identity" and {node.input[0], node.output[0]} <= places.keys():
            first, copy = node.input[0], node.output[0]
            if places[copy] < places[first]:
                _swap(graph, {first: copy, copy: first})
    _make(graph, "/", {x.name: x.name for x in (*graph.input, *graph.output)})


def _make(graph: Any, prefix: str, given: MutableMapping[str, str]) -> None:
    """``given``: the names that are given already, by the old ones; it is filled."""
    nodes = list(_ordered(graph))
    constants = {x.name: x for x in graph.initializer}
    kept: list[Any] = []
    counts: Counter[str] = Counter()
    for node in nodes:
        node.name = f"{prefix}{node.op_type}_{counts[node.op_type]}"
        counts[node.op_type] += 1
        for index, name in enumerate(_uses(node)):
            if name in constants:
                kept.append(constants.pop(name))
                given.setdefault(name, f"{node.name}.{index}")
        for inner in _bodies(node):
            names = {x.name: f"{node.name}/in_{i}" for i, x in enumerate(inner.input)}
            _make(inner, f"{node.name}/", ChainMap(names, given))
        for index, name in enumerate(node.output):
            if name:
                given.setdefault(name, f"{node.name}:{index}" if index else node.name)
        node.input[:] = [given.get(name, name) for name in node.input]
        node.output[:] = [given.get(name, name) for name in node.output]
        attributes = sorted(node.attribute, key=lambda x: x.name)
        del node.attribute[:]
        node.attribute.extend(attributes)
    kept += [constants[x.name] for x in graph.output if x.name in constants]
    for value in (*kept, *graph.input, *graph.output):
        value.name = given.get(value.name, value.name)
    for value in (*graph.input, *graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = f"{value.name}_{axis}" if axis else "batch"
    # Shapes inside, which whoever loads the file infers.
    for field, values in ((graph.node, nodes), (graph.initializer, kept), (graph.value_info, ())):
        del field[:]
        field.extend(values)


def _swap(graph: Any, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in _bodies(node):
            _swap(inner, names)


def _ordered(graph: Any) -> Iterator[Any]:
    """The nodes, each after those that make what it needs, as the outputs ask for them."""
    makers = {name: node for node in graph.node for name in node.output if name}
    waiting = [(x.name, False) for x in reversed(graph.output)]
    done: set[str] = set()
    while waiting:
        name, ready = waiting.pop()
        node = makers.get(name)
        if node is None or node.output[0] in done:
            continue
        if ready:
            done.add(node.output[0])
            yield node
        else:
            waiting.append((name, True))
            waiting += [(x, False) for x in reversed(_uses(node))]


def _uses(node: Any) -> list[str]:
    """What a node takes, and what the graphs inside of it take from outside."""
    names = list(node.input)
    for inner in _bodies(node):
        own = {x.name for x in (*inner.input, *inner.initializer)}
        own |= {name for x in inner.node for name in x.output}
        taken = [name for x in inner.node for name in _uses(x)] + [x.name for x in inner.output]
        names += [name for name in taken if name not in own]
    return names


def _bodies(node: Any) -> list[Any]:
    return [
        inner
        for attribute in sorted(node.attribute, key=lambda x: x.name)
        for inner in (attribute.g, *attribute.graphs)
        if inner.node or inner.output
    ]
