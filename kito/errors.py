"""The errors that kito raises; every one derives from :class:`KitoError`."""

from __future__ import annotations


class KitoError(Exception):
    """What was asked for cannot be done; the message says what, where, and what to do."""


class UnsupportedModelError(KitoError):
    """The model cannot be read as a graph, or one of its layers cannot be copied."""
