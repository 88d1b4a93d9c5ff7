"""The resident memory of this process, from Linux's ``/proc``."""

from __future__ import annotations

import re
from pathlib import Path


def start() -> int:
    """Bytes that are resident now; :func:`peak` counts from here on."""
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)
    return _bytes("VmRSS")


def peak() -> int:
    """The most bytes that were resident since :func:`start`."""
    return _bytes("VmHWM")


def _bytes(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    if match is None:
        raise OSError(f"/proc/self/status has no {field}")
    return int(match[1]) * 1024
