"""The exceptions by which a check fails or is skipped, with its figures for the report."""

from __future__ import annotations

from typing import Any


class _NotPassed(Exception):
    """A check does not pass; the message says why.

    Attributes:
        data: the check's section of the JSON report; None where it has no figures.
    """

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data


class CheckFailed(_NotPassed):
    """A check found that the model does not meet its declaration."""


class CheckSkipped(_NotPassed):
    """A check cannot be made on this device."""
