"""The errors that kito raises, all derived from :class:`KitoError`, and helpers for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class KitoError(Exception):
    """A request cannot be carried out; the message says what is wrong, where, and what to do."""


class UnsupportedModelError(KitoError):
    """The model cannot be read as a graph, or one of its layers cannot be copied."""


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
