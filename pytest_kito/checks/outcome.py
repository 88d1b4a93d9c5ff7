"""How a check ends that does not pass: failed or skipped, with its figures for the report."""

from __future__ import annotations

from typing import Any


class CheckFailed(Exception):
    """A check found that the model does not meet its declaration; the message says why.

    Attributes:
        data: the check's section of the JSON report; None where it has no figures.
    """

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data


class CheckSkipped(Exception):
    """A check cannot be made on this device; the message is the reason.

    Attributes:
        data: the check's section of the JSON report; None where it has no figures.
    """

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data
