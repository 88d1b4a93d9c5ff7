"""A network before and after as HTML with SVG: a block for each part, which opens on a click.

The markup needs no script and loads nothing. Every text from a model is escaped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from kito.drawing.blocks import Block, find_blocks, find_parts
from kito.drawing.boxes import tell
from kito.drawing.layout import check_installed
from kito.drawing.marks import Marks, escape
from kito.drawing.paint import Drawing
from kito.drawing.picture import Picture, read_picture
from kito.drawing.style import STYLE
from kito.errors import counted


def draw(network: Mapping[str, Any], style: bool = True) -> str:
    """HTML that shows a network before and after its reduction.

    Args:
        network: what :func:`kito.drawing.network.describe` returned, or the same from a JSON file.
        style: whether the style sheet is part of it; a page with several drawings needs it once
            (:data:`kito.drawing.style.STYLE`).

    Raises:
        KitoError: the extra ``report`` is not installed.
    """
    check_installed()
    picture = read_picture(network)
    blocks = find_blocks(picture)
    marks = Marks(hashlib.sha256(repr(network).encode()).hexdigest()[:6])
    parts = [_block(picture, block, marks, len(blocks) == 1) for block in blocks]
    sheet = f"<style>{STYLE}</style>" if style else ""
    return f"<div class=kd>{sheet}{marks.definitions()}{''.join(parts)}</div>"


def _block(picture: Picture, block: Block, marks: Marks, is_open: bool) -> str:
    events, kept = tell(picture, block.before, block.after)
    sizes = f"{counted(len(block.before), 'layer')} → {len(block.after)}"
    words = [f"<span>{escape(x)}</span>" for x in events]
    words += [f"<span class=kdk>{kept} kept</span>"] if kept else []
    words = words or ["<i>unchanged</i>"]
    title = escape(block.title)
    share = min(round(100 * len(block.after) / max(len(block.before), 1)), 100)
    drawings = _drawings(picture, block)
    shown = "".join(x.svg(_label(picture, x.block), marks) for x in drawings)
    return (
        f"<details{' open' * is_open}><summary><b>{title}</b> "
        f"<s aria-hidden=true><u style=width:{share}%></u></s>"
        f"<em>{sizes}</em> {' '.join(words)}</summary>"
        f'<div tabindex=0 role=group aria-label="{title}">{shown}</div></details>'
    )


def _drawings(picture: Picture, block: Block, many: int = 3) -> list[Drawing]:
    """A block as one drawing, or as several where before does not fit beside after."""
    drawing = Drawing(picture, block)
    if drawing.beside or many < 2:
        return [drawing]
    parts = find_parts(picture, block, many)
    return [x for part in parts for x in _drawings(picture, part, many - 1)]


def _label(picture: Picture, block: Block) -> str:
    """What a drawing shows, in words."""
    events, _ = tell(picture, block.before, block.after)
    return f"before and after: {', '.join(events) or 'unchanged'}"
