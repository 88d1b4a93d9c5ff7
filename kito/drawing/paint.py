"""One block as SVG. Coordinates are pixels, as integers; attributes have quotes where they must."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kito.drawing.blocks import Block
from kito.drawing.boxes import LINE, Box, Line, box_after, box_before
from kito.drawing.layout import Side, Spot, lay_out
from kito.drawing.marks import Marks, escape
from kito.drawing.picture import Layer, Picture

_WIDTH, _PITCH = 184, 198
"""The width of a box, and how far the next one is."""
_MARGIN, _HEAD, _GAP, _MIDDLE = 8, 26, 20, 36
"""Around all, above the rows, between rows, and between the networks before and after."""
_STUB = 16
"""The height of a row that holds only what comes in."""
_WIDEST = 3 * _PITCH
"""The widest network that stands beside the other one."""
_HEADING = 2
"""The lines that name a layer."""
_LINES = {"type": "", "name": "n", "fate": "f", "takes": "p", "kept": "w", "shared": "w"}
_LINES |= {"was": "c", "moved": "c", "long": "z"}
_BOXES = {"gone": "g", "takes": "t", "kept": "k", "changed": "b", "new": "m", "stays": "b"}
"""The classes of the style sheet."""


@dataclass(frozen=True)
class _Column:
    """One network of a block, with what its boxes hold and where its rows are."""

    side: Side
    boxes: dict[int, Box]
    layers: Sequence[Layer]
    left: int
    tops: Sequence[int]
    heights: Sequence[int]

    def leaving(self) -> Iterable[int]:
        """The calls whose results are read outside of the block."""
        for i in self.boxes:
            users = self.layers[i].users
            if not users or any(u not in self.boxes for u in users):
                yield i

    def corner(self, spot: Spot) -> tuple[int, int]:
        """The upper left corner of what stands at ``spot``."""
        row, x = spot
        return self.left + round(x * _PITCH), self.tops[row]

    def center(self, spot: Spot) -> int:
        """The middle, from left to right, of what stands at ``spot``."""
        return self.corner(spot)[0] + _WIDTH // 2

    def bottom(self, i: int) -> int:
        """Where a call, or what comes in, ends."""
        top = self.tops[self.side.spots[i][0]]
        return top + (self.boxes[i].height if i in self.boxes else _STUB - 2)

    @property
    def end(self) -> int:
        """Below the last row."""
        return self.tops[-1]


class Drawing:
    """A block of a network: before beside after, or above it where both are wide."""

    def __init__(self, picture: Picture, block: Block) -> None:
        self.block = block
        layout = lay_out(picture, block)
        sides = (layout.before, layout.after)
        before = {i: box_before(picture, picture.before[i]) for i in block.before}
        after = {j: box_after(picture, picture.after[j]) for j in block.after}
        wide = [round(side.width * _PITCH) + _WIDTH for side in sides]
        tall = [
            _heights(layout.rows, side, x) for side, x in zip(sides, (before, after), strict=True)
        ]
        self.beside = max(wide) <= _WIDEST
        if self.beside:
            tall = [[max(x) for x in zip(*tall, strict=True)]] * 2
        start = _MARGIN + _HEAD
        self.before = _Column(
            layout.before, before, picture.before, _MARGIN, _tops(start, tall[0]), tall[0]
        )
        left = _MARGIN + wide[0] + _MIDDLE if self.beside else _MARGIN
        start = start if self.beside else self.before.end + _HEAD
        self.after = _Column(
            layout.after, after, picture.after, left, _tops(start, tall[1]), tall[1]
        )
        self.width = _MARGIN + (left + wide[1] if self.beside else _MARGIN + max(wide))
        self.height = self.after.end + _MARGIN
        self.opened = picture.opened

    def svg(self, label: str, marks: Marks) -> str:
        """The whole drawing; ``label`` says in words what it shows."""
        both = (self.before, self.after)
        shapes = "".join(
            [*self._frames(), *map(self._edges, both), self._ribbons()]
            + [self._outlines(x) for x in both]
        )
        heads = "".join(
            f"<text class=kdh x={column.left} y={column.tops[0] - _HEAD + 10}>{word}</text>"
            for column, word in zip(both, ("before", "after"), strict=True)
        )
        return (
            f'<svg role=img aria-label="{escape(label)}" width={self.width} '
            f'viewBox="0 0 {self.width} {self.height}" style=min-width:{self.width * 5 // 6}px>'
            f"{marks.use_of(shapes)}{heads}{''.join(self._texts(marks))}</svg>"
        )

    def _frames(self) -> Iterable[str]:
        """A frame around the layers before that were in a layer which was inlined."""
        for boxes in self._inlined().values():
            corners = [self.before.corner(self.before.side.spots[i]) for i in boxes]
            left, top = (min(x) - 6 for x in zip(*corners, strict=True))
            right = max(x for x, _ in corners) + _WIDTH + 6
            bottom = max(self.before.bottom(i) for i in boxes) + 6
            yield f"<path class=kdo d=M{left},{top}H{right}V{bottom}H{left}z />"

    def _inlined(self) -> dict[int, list[int]]:
        """For each layer that was inlined, by its index, the calls of the block that were in it."""
        found: dict[int, list[int]] = {}
        for i in self.before.boxes:
            k = self.before.layers[i].opened
            if k is not None:
                found.setdefault(k, []).append(i)
        return found

    def _outlines(self, column: _Column) -> str:
        paths: dict[str, list[str]] = {}
        for i, box in column.boxes.items():
            x, y = column.corner(column.side.spots[i])
            paths.setdefault(box.style, []).append(f"M{x},{y}h{_WIDTH}v{box.height}h-{_WIDTH}z")
        return "".join(
            f"<path class=kd{_BOXES[style]} d={''.join(found)} />" for style, found in paths.items()
        )

    def _texts(self, marks: Marks) -> Iterable[str]:
        """The texts of both networks; a layer that is the same in both is written once."""
        for j, box in self.after.boxes.items():
            x, y = self.after.corner(self.after.side.spots[j])
            i = self.after.layers[j].twin
            heading = 0
            if i in self.before.boxes and self.before.boxes[i].lines == box.lines[:_HEADING]:
                left, top = self.before.corner(self.before.side.spots[i])
                down = f" y={y - top}" * (y != top)
                yield f"<use href=#{marks.of_text(i)} x={x - left}{down} />"
                heading = _HEADING
            yield _text(box.lines[heading:], x + 8, y + 15 + LINE * heading)
        for i, box in self.before.boxes.items():
            x, y = self.before.corner(self.before.side.spots[i])
            yield _text(box.lines, x + 8, y + 15, marks.texts.get(i, ""), box.style == "gone")
        for k, boxes in self._inlined().items():
            corners = [self.before.corner(self.before.side.spots[i]) for i in boxes]
            left, top = (min(x) for x in zip(*corners, strict=True))
            name, kind = self.opened[k]
            words = escape(f"{kind} {name}: inlined", 60)
            yield f"<text class=kdq x={left - 4} y={top - 9}>{words}</text>"
        for column in (self.before, self.after):
            yield from self._outside(column)

    def _outside(self, column: _Column) -> Iterable[str]:
        """Where edges come in from, if that is not clear, and the shapes of what goes out."""
        sources = [i for i in column.side.spots if i < 0]
        for i in sources if len(sources) > 1 or self.block.partial else []:
            x = column.center(column.side.spots[i])
            y = column.tops[column.side.spots[i][0]] + 11
            name = column.layers[-1 - i].name
            short = name if len(name) <= 28 else f"{name[:13]}…{name[-13:]}"
            yield f"<text class=kdi x={x} y={y}>{escape(short)}</text>"
        for i in column.leaving():
            x, y = column.center(column.side.spots[i]) + 6, column.bottom(i) + 12
            yield f"<text class=kdn x={x} y={y}>{escape(column.layers[i].shape)}</text>"

    def _edges(self, column: _Column) -> str:
        ways, arrows = [], []
        for (a, b), bends in column.side.edges.items():
            x, y = column.center(column.side.spots[a]), column.bottom(a)
            ways.append(f"M{x},{y}")
            for row, place in bends:
                next_x = column.center((row, place))
                ways.append(_step(x, y, next_x, column.tops[row]))
                x, y = next_x, column.tops[row] + column.heights[row]
            end, top = (
                column.center(column.side.spots[b]),
                column.tops[column.side.spots[b][0]],
            )
            ways.append(_step(x, y, end, top))
            arrows.append(f"M{end},{top}l-3-5h6z")
        for i in column.leaving():
            x, y = column.center(column.side.spots[i]), column.bottom(i)
            ways.append(f"M{x},{y}v{_GAP - 4}")
        return f"<path class=kde d={''.join(ways)} />" + (
            f"<path class=kda d={''.join(arrows)} />" if arrows else ""
        )

    def _ribbons(self) -> str:
        """From each layer that was removed to the line of the layer that does its work."""
        if not self.beside:
            return ""  # they would cross everything
        ways = []
        for j, box in self.after.boxes.items():
            x, y = self.after.corner(self.after.side.spots[j])
            for k, line in enumerate(box.lines):
                for i in line.sources:
                    if i in self.before.boxes:
                        ways.append(self._ribbon(i, x, y + 11 + LINE * k))
        return f"<path class=kdr d={''.join(ways)} />" if ways else ""

    def _ribbon(self, i: int, x: int, y: int) -> str:
        left, top = self.before.corner(self.before.side.spots[i])
        left, top = left + _WIDTH, top + 12
        bend = (left + x) // 2
        return f"M{left},{top}C{bend},{top},{bend},{y},{x},{y}"


def _heights(rows: int, side: Side, boxes: dict[int, Box]) -> list[int]:
    """The height of each row; of one that only edges pass, little."""
    heights = [0] * rows
    for i, (row, _) in side.spots.items():
        heights[row] = max(heights[row], boxes[i].height if i in boxes else _STUB)
    return heights


def _tops(start: int, heights: Sequence[int]) -> list[int]:
    """Where each row begins, and, last, where they end."""
    tops = [start]
    for height in heights:
        tops.append(tops[-1] + height + _GAP)
    return tops


def _step(x: int, y: int, to_x: int, to_y: int) -> str:
    """From one place down to another; across only above the second, where no box is."""
    if x == to_x:
        return f"V{to_y}"
    start = max(y, to_y - _GAP)
    middle = (start + to_y) // 2
    down = f"V{start}" if start > y else ""
    return f"{down}C{x},{middle},{to_x},{middle},{to_x},{to_y}"


def _text(lines: Sequence[Line], x: int, y: int, mark: str = "", struck: bool = False) -> str:
    """The lines of a box as one text, the first of them at ``x, y``."""
    parts = []
    for k, line in enumerate(lines):
        style = _LINES[line.style]
        if struck and k == 0:
            style = f"x kd{style}" if style else "x"
        text = html.escape(line.text)
        if line.full:
            text = f"<title>{html.escape(line.full)}</title>{text}"
        place = f" x={x} dy={LINE}" if k else ""
        named = f' class="kd{style}"' if " " in style else f" class=kd{style}" if style else ""
        parts.append(f"<tspan{named}{place}>{text}</tspan>" if named or place else text)
    if not parts:
        return ""
    return f"<text{f' id={mark}' if mark else ''} x={x} y={y}>{''.join(parts)}</text>"
