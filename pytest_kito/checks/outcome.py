"""The checks of a declared model. Each returns its figures, or raises with what went wrong.

The figures are the sections of the JSON report. The check of the speed-up is in
:mod:`pytest_kito.checks.speedup`.
"""

from __future__ import annotations

from typing import Any


class CheckFailed(Exception):
    """A check says no.

    Attributes:
        data: the figures that it found, for the report.
    """

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data


class CheckSkipped(Exception):
    """A check cannot be made here; the message is the reason."""

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data
