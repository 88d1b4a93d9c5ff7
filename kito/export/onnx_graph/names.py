"""A canonical ONNX graph: its order and its names depend only on what it computes.

tf2onnx merges equal nodes, and which of them stays, with its name, depends on where they lie in
memory. Its names also hold a number that counts up while the process lives. So nodes are put in the
order in which the outputs need them, and everything inside is named by that order.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any


def make_canonical(graph: Any, outputs: Sequence[str]) -> None:
    """Order and name a ``GraphProto`` in place. Its function, inputs and outputs stay the same.

    Args:
        graph: the graph.
        outputs: the names of its outputs in the wanted order. If they are not exactly the graph's
            own, the order stays.
    """
    by_name = {x.name: x for x in graph.output}
    if set(by_name) == set(outputs):
        ordered = [by_name[name] for name in outputs]
        del graph.output[:]
        graph.output.extend(ordered)
    graph.doc_string = ""
    places = {x.name: place for place, x in enumerate(graph.output)}
    for node in graph.node:
        # Where one tensor is two outputs, the first output must be the one that is computed.
        if node.op_type == "Identity" and {node.input[0], node.output[0]} <= places.keys():
            source, copy = node.input[0], node.output[0]
            if places[copy] < places[source]:
                _rename(graph, {source: copy, copy: source})
    _order_and_name(graph, "/", {x.name: x.name for x in (*graph.input, *graph.output)})


def sort_nodes(graph: Any) -> None:
    """Put each node after those that compute its inputs; leave out what no output needs."""
    nodes = list(_ordered(graph))
    del graph.node[:]
    graph.node.extend(nodes)


def _order_and_name(graph: Any, prefix: str, new_names: MutableMapping[str, str]) -> None:
    """Order and name one graph and the graphs inside it.

    Args:
        graph: the graph, changed in place.
        prefix: of the names of its nodes.
        new_names: new names by old names; the new names of this graph are added.
    """
    nodes = list(_ordered(graph))
    constants = {x.name: x for x in graph.initializer}
    kept: list[Any] = []
    counts: Counter[str] = Counter()
    for node in nodes:
        node.name = f"{prefix}{node.op_type}_{counts[node.op_type]}"
        counts[node.op_type] += 1
        for index, name in enumerate(uses(node)):
            if name in constants:
                kept.append(constants.pop(name))
                new_names.setdefault(name, f"{node.name}.{index}")
        for inner in _bodies(node):
            names = {x.name: f"{node.name}/in_{i}" for i, x in enumerate(inner.input)}
            _order_and_name(inner, f"{node.name}/", ChainMap(names, new_names))
        for index, name in enumerate(node.output):
            if name:
                new_names.setdefault(name, f"{node.name}:{index}" if index else node.name)
        node.input[:] = [new_names.get(name, name) for name in node.input]
        node.output[:] = [new_names.get(name, name) for name in node.output]
        attributes = sorted(node.attribute, key=lambda x: x.name)
        del node.attribute[:]
        node.attribute.extend(attributes)
    kept += [constants[x.name] for x in graph.output if x.name in constants]
    for value in (*kept, *graph.input, *graph.output):
        value.name = new_names.get(value.name, value.name)
    for value in (*graph.input, *graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = f"{value.name}_{axis}" if axis else "batch"
    # The shapes of inner tensors are dropped: engines infer them.
    for field, values in ((graph.node, nodes), (graph.initializer, kept), (graph.value_info, ())):
        del field[:]
        field.extend(values)


def _rename(graph: Any, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in _bodies(node):
            _rename(inner, names)


def _ordered(graph: Any) -> Iterator[Any]:
    """The nodes that the outputs need, each after the nodes that compute its inputs."""
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
            waiting += [(x, False) for x in reversed(uses(node))]


def uses(node: Any) -> list[str]:
    """The inputs of a node, and what the graphs inside it read from outside."""
    names = list(node.input)
    for inner in _bodies(node):
        own = {x.name for x in (*inner.input, *inner.initializer)}
        own |= {name for x in inner.node for name in x.output}
        read = [name for x in inner.node for name in uses(x)] + [x.name for x in inner.output]
        names += [name for name in read if name not in own]
    return names


def every_node(graph: Any) -> Iterator[Any]:
    """The nodes of a graph, and of the graphs inside them."""
    for node in graph.node:
        yield node
        for inner in _bodies(node):
            yield from every_node(inner)


def _bodies(node: Any) -> list[Any]:
    """The graphs inside a node, such as the branches of an ``If``."""
    return [
        inner
        for attribute in sorted(node.attribute, key=lambda x: x.name)
        for inner in (attribute.g, *attribute.graphs)
        if inner.node or inner.output
    ]
