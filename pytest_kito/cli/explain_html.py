"""What ``kito explain --html`` writes: a page with the drawing, the explanation and the layers."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError, shown
from pytest_kito.cli.tree import Branch, Page

if TYPE_CHECKING:
    from kito.rewrite.reduction import Reduction

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--soft:#5c6570;--line:#d4dae0;--page:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebee;--soft:#a4adb8;--line:#3b434c;--page:#15181b}}
body{margin:0 auto;padding:16px;max-width:1400px;color:var(--ink);background:var(--page);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:22px;overflow-wrap:anywhere}h2{font-size:17px;margin-top:32px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:3px 14px 3px 0;text-align:left;border-bottom:1px solid var(--line);
vertical-align:top}
.n td,.n thead th{text-align:right}
li{overflow-wrap:anywhere}.scroll{overflow-x:auto}caption{text-align:left;color:var(--soft)}
:focus-visible{outline:2px solid #2456b3}
"""
_HEADINGS = ("layer", "type", "settings", "shape", "what became of it")


def check_html(path: Path) -> None:
    """Raise a KitoError where a page with a drawing cannot be made or written."""
    from kito.drawing.layout import check_installed

    check_installed()
    if path.is_dir():
        raise KitoError(f"--html {path} is a directory; name the file to write")
    if not path.absolute().parent.is_dir():
        raise KitoError(f"there is no directory {path.parent} to write {path.name} into")


def write_explanation(reduction: Reduction, page: Page, path: Path) -> None:
    """Write the page of a reduction, which opens offline, to ``path``.

    Args:
        reduction: what :func:`kito.reduce` returned.
        page: what the command prints.
        path: the file; written whole or not at all.

    Raises:
        KitoError: the extra ``report`` is not installed.
        OSError: the file cannot be written.
    """
    from kito.drawing.network import describe
    from kito.drawing.svg import draw
    from kito.export.files import write_text

    network = describe(reduction)
    title = f"{network['name']}: what is folded into what"
    parts = [
        f"<h1>{_text(title)}</h1><p>{_text(page.title)}</p>",
        _table(page.rows, "n", "how large the model is, before and after"),
        f"<h2>The network, before and after</h2>{draw(network)}",
        f"<h2>What was done, and what stays</h2>{_list(page.branches)}",
        "<h2>Every layer</h2><div class=scroll tabindex=0 role=group aria-label='every layer'>",
        _table([_HEADINGS, *_layers(network)], "", "the layers of the original"),
        "</div>",
    ]
    write_text(
        path,
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n",
    )


def _layers(network: dict[str, Any]) -> Iterable[Sequence[str]]:
    """A row for each call of the original, and one for each that is new."""
    from kito.drawing.picture import read_picture

    picture = read_picture(network)
    for layer in picture.before:
        after = None if layer.twin is None else picture.after[layer.twin]
        hosts = ", ".join(picture.after[j].name for j in layer.hosts)
        story = f"{layer.fate} {hosts}".strip()
        if after is not None:
            taken = [f"takes {picture.before[i].name}" for i in after.takes]
            words = {"was": "it was ", "kept": "stays: ", "takes": "takes "}
            story = "; ".join([*taken, *(words.get(k, "") + text for k, text in after.notes)])
        yield layer.name, layer.kind, layer.detail, layer.shape, story
    for layer in picture.after:
        if layer.twin is None:
            yield layer.name, layer.kind, layer.detail, layer.shape, "new"


def _table(rows: Sequence[Sequence[str]], kind: str, caption: str) -> str:
    head, *body = rows
    cells = "".join(f"<th scope=col>{_text(x)}</th>" if x else "<td></td>" for x in head)
    lines = "".join(
        f"<tr><th scope=row>{_text(first)}</th>{''.join(f'<td>{_text(x)}</td>' for x in rest)}</tr>"
        for first, *rest in body
    )
    return (
        f'<table class="{kind}"><caption>{caption}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
    )


def _list(branches: Sequence[Branch]) -> str:
    if not branches:
        return ""
    items = "".join(f"<li>{_text(x.text)}{_list(x.branches)}</li>" for x in branches)
    return f"<ul>{items}</ul>"


def _text(text: str) -> str:
    return html.escape(shown(text, 4000))
