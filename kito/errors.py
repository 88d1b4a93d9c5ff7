"""The errors that kito raises; every one derives from :class:`KitoError`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KitoError(Exception):
    """What was asked for cannot be done; the message says what, where, and what to do."""


class UnsupportedModelError(KitoError):
    """The model cannot be read as a graph, or one of its layers cannot be copied."""


def describe(error: BaseException) -> str:
    """``Type: message`` of an exception, the message cut where it goes on and on."""
    text = str(error).strip()
    text = text if len(text) <= 1000 else f"{text[:1000]} ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'a' or 'b'? ``, or nothing where no known name is near."""
    # A name of thousands of characters is no slip, and comparing it is slow.
    close = difflib.get_close_matches(name, sorted(set(known)), n=3) if len(name) < 100 else []
    return f"did you mean {' or '.join(map(repr, close))}? " if close else ""
