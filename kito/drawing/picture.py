"""The plain data of :mod:`kito.drawing.network`, read back with names for its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kito.graph.names import within


@dataclass
class Layer:
    """One call of a layer, in the network before or after.

    Attributes:
        name: of the layer.
        kind: its type.
        detail: its settings in short, such as ``3×3, 64``.
        shape: the sizes of its result for one sample.
        inputs: the indices of the calls that it reads.
        users: the indices of the calls that read it.
        fate: what became of it, where the reduced model lacks it.
        hosts: the calls of the other network that do its work.
        takes: the calls of the other network whose work it does.
        notes: ``(kind, text)`` of what else there is to say about it.
        twin: the call of the other network that it is; None where there is none.
        opened: the layer that held it and was inlined, by its index in :attr:`Picture.opened`.
    """

    name: str
    kind: str
    detail: str
    shape: str
    inputs: list[int]
    users: list[int] = field(default_factory=list)
    fate: str = ""
    hosts: list[int] = field(default_factory=list)
    takes: list[int] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    twin: int | None = None
    opened: int | None = None


@dataclass(frozen=True)
class Picture:
    """A network before and after.

    Attributes:
        name: of the model.
        before, after: its calls, in topological order.
        opened: ``(name, type)`` of each layer that was inlined.
    """

    name: str
    before: Sequence[Layer]
    after: Sequence[Layer]
    opened: Sequence[tuple[str, str]]


def read_picture(network: Mapping[str, Any]) -> Picture:
    """What :func:`kito.drawing.network.describe` returned, or the same from a JSON file."""
    texts: Sequence[str] = network["texts"]
    before = [_layer(row[0], row, texts) for row in network["before"]]
    after = []
    for j, row in enumerate(network["after"]):
        twin = row[0] if isinstance(row[0], int) else None
        layer = _layer(row[0] if twin is None else before[twin].name, row, texts)
        if twin is not None:
            layer.twin, before[twin].twin = twin, j
        after.append(layer)
    for i, (fate, hosts) in network["gone"].items():
        layer = before[int(i)]
        layer.fate, layer.hosts = texts[fate], list(hosts)
        for j in hosts:
            after[j].takes.append(int(i))
    for j, notes in network["notes"].items():
        after[int(j)].notes = [(kind, texts[text]) for kind, text in notes]
    for layers in (before, after):
        for i, layer in enumerate(layers):
            for source in layer.inputs:
                layers[source].users.append(i)
    opened = [(name, kind) for name, kind in network["opened"]]
    for layer in before:
        prefixes = [
            k for k, (name, _) in enumerate(opened) if layer.name.startswith(within(name, ""))
        ]
        # The names of layers in an inlined layer that was in another one begin with both.
        layer.opened = max(prefixes, key=lambda k: len(opened[k][0]), default=None)
    return Picture(network["name"], before, after, opened)


def _layer(name: str, row: Sequence[Any], texts: Sequence[str]) -> Layer:
    kind, detail, shape = (texts[i] for i in row[1:4])
    return Layer(name, kind, detail, shape, list(row[4]))
