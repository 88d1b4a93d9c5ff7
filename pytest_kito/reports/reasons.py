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
        reason: the reason. For more than one layer, types stand for the names in it, as far as they
            are known, and ``..`` for numbers that differ.
        layers: the names, at least one.
    """

    kind: str
    reason: str
    layers: tuple[str, ...]


def grouped(
    reasons: Iterable[tuple[str, str]], kinds: Mapping[str, str] | None = None
) -> list[Group]:
    """A group for each reason, the most frequent first.

    Args:
        reasons: names of layers, each with the reason why it stays.
        kinds: the types of layers, by name; None where they are not known.
    """
    known, everywhere = kinds or {}, kinds is None
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for layer, reason in reasons:
        general = _general(reason, known, everywhere)
        key = (known.get(layer, ""), _NUMBER.sub("..", general))
        groups.setdefault(key, []).append((layer, reason))
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    found = []
    for (kind, general), members in ordered:
        texts = {_general(reason, known, everywhere) for _, reason in members}
        text = texts.pop() if len(texts) == 1 else general
        if len(members) == 1:
            text = members[0][1]
        found.append(Group(kind, text, tuple(layer for layer, _ in members)))
    return found


def _general(reason: str, kinds: Mapping[str, str], everywhere: bool) -> str:
    """The reason with the types of layers in the place of their names.

    Args:
        reason: a reason.
        kinds: the types of layers, by name.
        everywhere: whether a name whose type is not known becomes ``..``, too.
    """

    def kind(found: re.Match[str]) -> str:
        return kinds.get(found[1], ".." if everywhere else found[0])

    def listed(found: re.Match[str]) -> str:
        names = [name.strip("'") for name in found["names"].split(", ")]
        known = {kinds.get(x, ".." if everywhere else x) for x in names}
        return found["before"] + ", ".join(sorted(known))

    text = _QUOTED.sub(kind, _LIST.sub(listed, reason))
    # "'softmax' (Softmax)" says it twice then.
    return re.sub(r"\b(\w+) \(\1\)", r"\1", text)
