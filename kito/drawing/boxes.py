"""What stands in the box of a layer, line by line, and how high that makes it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from kito.drawing.picture import Layer, Picture
from kito.errors import shown

LINE = 14
"""The height of a line."""
_LETTERS, _SMALL_LETTERS = 21, 26
"""The characters that fit on a line, in large and in small letters."""
_MOST_LINES = 6
_LONGEST = 2000
_VERBS = {
    "folded into": "folded",
    "absorbed by": "absorbed",
    "merged into": "merged",
    "does nothing in inference": "dropped",
    "done by": "replaced",
    "cancelled out": "cancelled out",
}


@dataclass(frozen=True)
class Line:
    """A line in a box.

    Attributes:
        style: ``type`` or ``long``, ``name``, ``fate``, ``takes``, ``was`` or ``kept``.
        text: what it says, cut to its place.
        full: the whole text; empty where nothing was cut.
        sources: the calls before whose work a line ``takes`` tells of.
    """

    style: str
    text: str
    full: str = ""
    sources: tuple[int, ...] = ()


@dataclass(frozen=True)
class Box:
    """The box of a layer.

    Attributes:
        style: ``gone``, ``takes``, ``kept``, ``changed``, ``new`` or ``stays``.
        lines: what is written in it.
    """

    style: str
    lines: tuple[Line, ...]

    @property
    def height(self) -> int:
        """In pixels."""
        return LINE * len(self.lines) + 10


def box_before(picture: Picture, layer: Layer) -> Box:
    """The box of a call of the network before."""
    lines = [*_heading(layer)]
    if layer.fate:
        hosts = ", ".join(picture.after[j].name for j in layer.hosts)
        most = 2 if len(layer.hosts) < 2 else 3
        lines += _wrapped("fate", f"→ {layer.fate} {hosts}".strip(), most)
    return Box("gone" if layer.fate else "stays", tuple(lines))


def box_after(picture: Picture, layer: Layer) -> Box:
    """The box of a call of the network after."""
    lines = [*_heading(layer), *_taken(picture, layer)]
    kinds = set()
    for kind, text in layer.notes:
        kinds.add(kind)
        words = {"was": f"was {text}", "kept": f"stays: {text}", "takes": f"+ {text}"}
        words["shared"] = f"both models use it: {text}"
        lines += _wrapped(kind, words.get(kind, text), _MOST_LINES)
    style = "stays"
    if layer.twin is None:
        style = "new"
        lines.append(Line("was", "new"))
    elif "kept" in kinds or "shared" in kinds:
        style = "kept"
    elif layer.takes:
        style = "takes"
    elif kinds:
        style = "changed"
    return Box(style, tuple(lines))


def _heading(layer: Layer) -> Iterable[Line]:
    words = f"{layer.kind} {layer.detail}".strip()
    style = "type" if len(words) <= _LETTERS else "long"
    yield Line(style, *_cut(words, _SMALL_LETTERS - 1))
    yield Line("name", *_cut_middle(layer.name, _SMALL_LETTERS))


def _taken(picture: Picture, layer: Layer) -> Iterable[Line]:
    groups: dict[tuple[str, bool], list[int]] = {}
    for i in layer.takes:
        source = picture.before[i]
        groups.setdefault((source.kind, len(source.hosts) > 1), []).append(i)
    for (kind, shared), members in groups.items():
        count = f"{len(members)} " if len(members) > 1 else ""
        text, full = _cut(f"+ {'part of ' * shared}{count}{kind}", _SMALL_LETTERS)
        yield Line("takes", text, full, tuple(members))


def _wrapped(style: str, text: str, most: int) -> Iterable[Line]:
    text = shown(text, _LONGEST)
    letters = _LETTERS + 2 if style == "takes" else _SMALL_LETTERS
    words = [_cut_middle(x, letters)[0] for x in text.split()]
    lines = textwrap.wrap(" ".join(words), letters, max_lines=most, placeholder=" …")
    cut = lines[-1].endswith(" …")
    for k, line in enumerate(lines):
        yield Line(style, line, text if cut and k == 0 else "")


def _cut(text: str, most: int) -> tuple[str, str]:
    text = shown(text, _LONGEST)
    return (text, "") if len(text) <= most else (f"{text[: most - 1]}…", text)


def _cut_middle(text: str, most: int) -> tuple[str, str]:
    text = shown(text, _LONGEST)
    half = (most - 1) // 2
    return (text, "") if len(text) <= most else (f"{text[:half]}…{text[-half:]}", text)


def tell(picture: Picture, before: Iterable[int], after: Iterable[int]) -> tuple[list[str], int]:
    """What happened to some calls, in short, and how many of them stay for a reason.

    Returns:
        Texts such as ``4 BatchNormalization folded``, and the number of calls that were kept.
    """
    counts: dict[tuple[str, str], int] = {}
    for i in before:
        layer = picture.before[i]
        if layer.fate:
            key = layer.kind, _VERBS.get(layer.fate, "removed")
            counts[key] = counts.get(key, 0) + 1
    notes = [{kind for kind, _ in picture.after[j].notes} for j in after]
    kept = sum("kept" in kinds for kinds in notes)
    texts = [f"{n} {shown(kind, 40)} {verb}" for (kind, verb), n in counts.items()]
    moved = sum("moved" in kinds for kinds in notes)
    return texts + ([f"{moved} moved"] if moved else []), kept
