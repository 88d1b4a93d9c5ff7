"""Why layers stay, each reason once: reasons that differ in names and numbers only are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NUMBER = re.compile(r"(?<![\w.'])-?\d[\d,.]*(e[+-]?\d+)?\b")
_QUOTED = re.compile(r"'([^']*)'")
_LIST = re.compile(r"(?P<before>went into |\d+ times: )(?P<names>[^;]+)")
"""Where a reason of :mod:`kito.rewrite` lists layers."""


@dataclass(frozen=True)
class Group:
    """Layers that stay for the same reason.

    Attributes:
        kind: the type of the layers; empty where it is not known.
        reason: the reason. For more than one layer, types stand for the names in it, and ``..`` for
            numbers that differ.
        example: the reason of the first layer, as it is.
        layers: the names, at least one.
    """

    kind: str
    reason: str
    example: str
    layers: tuple[str, ...]


def grouped(
    reasons: Iterable[tuple[str, str]], kinds: Mapping[str, str] | None = None
) -> list[Group]:
    """A group for each reason, the most frequent first.

    Args:
        reasons: names of layers, each with the reason why it stays.
        kinds: the types of layers, by name; None where no type is known.
    """
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for layer, reason in reasons:
        kind = "" if kinds is None else kinds.get(layer, "")
        groups.setdefault((kind, _NUMBER.sub("..", _general(reason, kinds))), []).append(
            (layer, reason)
        )
    found = []
    for (kind, general), members in sorted(groups.items(), key=lambda item: -len(item[1])):
        layers, example = tuple(layer for layer, _ in members), members[0][1]
        texts = {_general(reason, kinds) for _, reason in members}
        text = texts.pop() if len(texts) == 1 else general
        found.append(Group(kind, example if len(members) == 1 else text, example, layers))
    return found


def _general(reason: str, kinds: Mapping[str, str] | None) -> str:
    """The reason with the types of layers in the place of their names; ``..`` without any types."""

    def known(name: str) -> str:
        return ".." if kinds is None else kinds.get(name, name)

    def kind(found: re.Match[str]) -> str:
        # What is no layer keeps its quotes.
        return known(found[1]) if kinds is None or found[1] in kinds else found[0]

    def listed(found: re.Match[str]) -> str:
        names = [name.strip("'") for name in found["names"].split(", ")]
        return found["before"] + ", ".join(sorted({known(x) for x in names}))

    text = _QUOTED.sub(kind, _LIST.sub(listed, reason))
    # "'softmax' (Softmax)" says it twice then.
    return re.sub(r"\b(\w+) \(\1\)", r"\1", text)
