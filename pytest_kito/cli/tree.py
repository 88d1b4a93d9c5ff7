"""An answer as a tree of lines below a table: plain text when piped, drawn on a terminal.

Rich is imported only where it draws. The texts may hold names from a file: each stays on its line,
acts on no terminal, and is never read as rich's markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kito.errors import shown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree as RichTree

_LONGEST = 4000
"""The most characters of one line."""


@dataclass(frozen=True)
class Branch:
    """A line and the lines below it.

    Attributes:
        text: the line.
        branches: what belongs to it.
        style: what rich draws it with, such as ``bold``.
    """

    text: str
    branches: Sequence[Branch] = ()
    style: str = ""

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The lines in plain text, each level indented by two spaces."""
        yield "  " * depth + _harmless(self.text)
        for branch in self.branches:
            yield from branch.lines(depth + 1)


@dataclass(frozen=True)
class Page:
    """What a command shows.

    Attributes:
        title: its first line.
        rows: the cells of a table, the headings first; all but the first column are figures.
        branches: what stands below.
    """

    title: str
    rows: Sequence[Sequence[str]] = ()
    branches: Sequence[Branch] = field(default_factory=tuple)

    def plain(self) -> str:
        """The page in plain text."""
        rows = [[_harmless(cell) for cell in row] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_harmless(self.title)]
        for first, *figures in rows:
            cells = zip(figures, widths[1:], strict=True)
            right = "".join(f"{figure:>{width + 3}}" for figure, width in cells)
            lines.append(f"  {first:<{widths[0]}}{right}")
        for branch in self.branches:
            lines += branch.lines()
        return "\n".join(lines)

    def drawn(self) -> RenderableType:
        """The page for :meth:`rich.console.Console.print`."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text
        from rich.tree import Tree

        parts: list[RenderableType] = []
        if self.title:
            parts.append(Text(_harmless(self.title), "bold"))
        if self.rows:
            head, *body = self.rows
            table = Table()
            for i, name in enumerate(head):
                table.add_column(Text(_harmless(name)), justify="right" if i else "left")
            for row in body:
                table.add_row(*(Text(_harmless(cell)) for cell in row))
            parts.append(table)
        for branch in self.branches:
            parts.append(_grow(Tree(_text(branch)), branch))
        return Group(*parts)


def _harmless(text: str) -> str:
    return shown(text, _LONGEST)


def _grow(tree: RichTree, branch: Branch) -> RichTree:
    for child in branch.branches:
        _grow(tree.add(_text(child)), child)
    return tree


def _text(branch: Branch) -> RenderableType:
    from rich.text import Text

    return Text(_harmless(branch.text), branch.style)


def on_terminal(error: bool = False) -> bool:
    """Whether standard output, or standard error, is a terminal that can be drawn on."""
    stream = sys.stderr if error else sys.stdout
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def draw(page: Page) -> None:
    """Draw a page on standard output, which is a terminal; colours unless ``NO_COLOR`` is set."""
    from rich.console import Console

    Console(highlight=False).print(page.drawn())
