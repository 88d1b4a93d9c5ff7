"""What a module of :mod:`benchmarks.topics` holds.

A topic is measured cell by cell: a cell is one figure or a few that belong together, such as one
network in one engine with one batch size. Each cell runs in a process of its own.

Every topic has:

- ``TITLE: str``;
- ``cells() -> tuple[str, ...]``: their keys, such as ``MobileNetV2/onnx/8``; imports no Keras;
- ``measure(cell: str) -> dict[str, Any]``: the figures of one cell, which JSON can hold;
- ``table(rows: Rows) -> str``: Markdown of the stored cells. Some may be missing, and a cell that
  failed is ``{"error": "..."}``; :func:`measured` leaves these out.

A topic may have:

- ``plot(rows: Rows) -> matplotlib.figure.Figure``;
- ``ABOUT: str``: Markdown, what was measured and what the columns mean;
- ``readme(rows: Rows) -> str``: Markdown for the README, where the table is too long for it;
- ``LIMIT_S: float``: seconds after which a cell is stopped; :data:`LIMIT_S` by default;
- ``MACHINE: str``: where the figures do not depend on the machine, what stands for its name;
- ``prepare() -> None``: run once, before the first cell, in the process of the command.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from benchmarks import topics

Row = Mapping[str, Any]
"""The figures of one cell."""
Rows = Mapping[str, Row]
"""The figures of a topic, by cell."""
LIMIT_S = 600.0


def names() -> tuple[str, ...]:
    """All topics, in alphabetical order."""
    return tuple(sorted(x.name for x in pkgutil.iter_modules(topics.__path__)))


def load(name: str) -> ModuleType:
    """The module of a topic.

    Raises:
        KeyError: there is no such topic.
    """
    if name not in names():
        raise KeyError(name)
    return importlib.import_module(f"benchmarks.topics.{name}")


def measured(rows: Rows) -> dict[str, Row]:
    """The cells that did not fail."""
    return {cell: row for cell, row in rows.items() if "error" not in row}


def markdown(header: str, rows: list[list[str]]) -> str:
    """A table in Markdown.

    Args:
        header: its columns, separated by ``|``; one that ends with ``:`` is aligned to the right.
        rows: the texts of its cells.
    """
    columns = [x.strip() for x in header.split("|")]
    lines = [
        "| " + " | ".join(x.removesuffix(":") for x in columns) + " |",
        "| " + " | ".join("---:" if x.endswith(":") else "---" for x in columns) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines)
