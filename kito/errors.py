"""The errors that kito raises, all derived from :class:`KitoError`, and how texts are told.

Texts from outside, such as names in a file, are made harmless here: for a terminal by
:func:`shown` and :func:`printable`, for a notebook by :func:`html_table`.
"""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Iterable, Sequence


class KitoError(Exception):
    """A request cannot be carried out; the message says what is wrong, where, and what to do."""


class UnsupportedModelError(KitoError):
    """The model cannot be read as a graph, or one of its layers cannot be copied."""


def shown(text: object, most: int = 200) -> str:
    """A text from outside, such as a name in a file, for a message: on one line, cut, harmless.

    Control characters, marks that change the direction of a text, surrogates and all else that does
    not print is escaped as in a Python string. So it cannot move the cursor of a terminal, hide or
    reorder what follows, or begin a line that a CI runner takes for a command.

    Args:
        text: the text, or an object whose ``str()`` it is.
        most: the most characters to show.
    """
    line = _escaped(str(text)[: most + 1])
    return line if len(line) <= most else f"{line[:most]}..."


def printable(text: str) -> str:
    """The text with every character escaped that does not print, except ends of lines."""
    return "\n".join(map(_escaped, text.split("\n")))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def html_table(
    caption: str, rows: Sequence[Sequence[object]], notes: Iterable[str] = (), most: int = 20
) -> str:
    """A table for a notebook, in HTML that needs nothing else; every text in it is escaped.

    Args:
        caption: what the table is about.
        rows: the cells, the row of headings first; the first cell of a row is its heading.
        notes: sentences below the table; of more than ``most``, the first and the number of others.
        most: the most notes.
    """
    head, *body = [[_html(cell) for cell in row] for row in rows]
    cells = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = [f"<table><caption>{_html(caption)}</caption><thead><tr>{cells}</tr></thead><tbody>"]
    for first, *others in body:
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    lines.append("</tbody></table>")
    texts = list(notes)
    if len(texts) > most:
        texts = [*texts[:most], f"and {len(texts) - most} more"]
    if texts:
        lines.append("<ul>" + "".join(f"<li>{_html(text)}</li>" for text in texts) + "</ul>")
    return f'<div class="kito">{"".join(lines)}</div>'


def _html(text: object) -> str:
    # A mark that changes the direction of a text is visible, as it is on a terminal.
    return html.escape(shown(text, 500))


def describe(error: BaseException) -> str:
    """``Type: message`` of an exception, with at most 1000 characters of the message."""
    text = str(error).strip()
    text = text if len(text) <= 1000 else f"{text[:1000]} ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def plain_text(error: BaseException) -> str:
    """The message of an exception that a Keras layer raised, in one line.

    Without what Keras adds to it: the layer that was called, the arguments, and colours.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("Arguments received by")[0]
    return " ".join(re.sub(r"Exception encountered when calling \S+\.", "", text).split())


def summarize(error: BaseException) -> str:
    """``Type: message`` of an exception that a Keras layer raised, in one short line."""
    return f"{type(error).__name__}: {plain_text(error):.200}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``1 model``, ``2 models``.

    Args:
        count: the number, 0 or more.
        one: what follows the number 1; it may be more than a noun: ``model does not fit``.
        many: what follows any other number; None for ``one`` with an *s*.
    """
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'a' or 'b'? ``; empty if no known name is similar to ``name``."""
    # A very long name is no typing mistake, and comparing it is slow.
    close = difflib.get_close_matches(name, sorted(set(known)), n=3) if len(name) < 100 else []
    return f"did you mean {' or '.join(map(repr, close))}? " if close else ""
