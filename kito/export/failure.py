"""The error where a format cannot hold a model, or its engine cannot run a file."""

from __future__ import annotations

import os
from pathlib import Path

from kito.errors import KitoError, describe
from kito.export.formats.names import FormatInfo

_LONGEST = 500
"""Characters that are quoted of an exporter's or engine's message."""


def failure(what: str, error: Exception, advice: str, folder: Path) -> KitoError:
    """An error in one line: what cannot be done, why, and what to do instead.

    Args:
        what: what cannot be done, such as "'net' cannot be written as onnx".
        error: what the exporter or the engine raised.
        advice: what to do, such as :func:`workaround` says.
        folder: where the file lay; its path is left out of the message.
    """
    return KitoError(f"{what}: {one_line(error, folder)}. {advice}")


def workaround(info: FormatInfo) -> str:
    """What to do where a format that holds a model's function cannot hold this one."""
    return f"Leave '{info.name}' out of its artifacts, or take the layer out that cannot be written"


def one_line(error: Exception, folder: Path) -> str:
    """An exception in one line, without the path of ``folder``; a long one is cut."""
    text = str(error) if isinstance(error, KitoError) else describe(error)
    line = " ".join(text.replace(f"{folder}{os.sep}", "").split())
    return (line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..").rstrip(". ")
