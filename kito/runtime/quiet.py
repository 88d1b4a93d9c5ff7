"""Import Keras and run it without log lines and warnings that say nothing about the user's model.

``TF_CPP_MIN_LOG_LEVEL`` is the least severity that TensorFlow logs: 0 information, 1 warnings, 2
errors, 3 only what ends the process. Where the user has not set it, it becomes 3: what goes wrong
is raised as an exception. TensorFlow writes some lines, such as "Could not find cuda drivers",
before it looks at this variable. So the standard error of the process is read while it is imported,
and the variable is applied to those lines, too.

Importing this module imports neither Keras nor its backend.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_STDERR = 2
_SEVERITY = re.compile(
    rb"(?P<glog>[IWEF])\d{4} \d\d:\d\d:\d\d"  # I0000 00:00:17 123 cudart_stub.cc:31] ..
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: (?P<old>[IWEF]) "
    rb"|WARNING: All log messages before absl::|INFO: Created TensorFlow Lite"
)


def import_keras() -> None:
    """Import Keras and its backend, without the lines that the backend logs meanwhile."""
    os.environ.setdefault(_LEVEL, "3")
    with filtered_stderr():
        importlib.import_module("keras")


@contextlib.contextmanager
def filtered_stderr() -> Iterator[None]:
    """In the block, lines below ``TF_CPP_MIN_LOG_LEVEL`` on standard error are left out.

    This holds for what native code writes, too. Other lines are written at the end of the block.
    """
    level = os.environ.get(_LEVEL, "0")
    least = int(level) if level.isdecimal() else 0
    try:
        stderr = os.dup(_STDERR) if least else None
    except OSError:  # the process has no standard error
        stderr = None
    if stderr is None:
        yield
        return
    with tempfile.TemporaryFile() as file, os.fdopen(stderr, "wb") as out:
        _flush()
        os.dup2(file.fileno(), _STDERR)
        try:
            with _crashes_shown(out.fileno()):
                yield
        finally:
            _flush()
            os.dup2(out.fileno(), _STDERR)
            file.seek(0)
            out.writelines(line for line in file if _severity(line) >= least)


@contextlib.contextmanager
def without_deprecations() -> Iterator[None]:
    """In the block, Keras' own use of what is deprecated, in NumPy say, warns nobody."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"keras\.")
        yield


def _severity(line: bytes) -> int:
    """The severity of a line, 0 to 3; 4 for a line that is no log line."""
    found = _SEVERITY.match(line)
    if found is None:
        return 4
    # What is matched by word informs, although absl calls its line a warning.
    return b"IWEF".index(found["glog"] or found["old"] or b"I")


@contextlib.contextmanager
def _crashes_shown(descriptor: int) -> Iterator[None]:
    """In the block, a crash writes the stack to ``descriptor``; what was read so far is lost."""
    if faulthandler.is_enabled():  # by the user, or pytest
        yield
        return
    faulthandler.enable(descriptor)
    try:
        yield
    finally:
        faulthandler.disable()


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
