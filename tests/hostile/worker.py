"""A process that imports Keras once, and then runs one command of kito or pytest after another.

It reads a line of JSON for each command, ``{"argv": [...], "folder": ...}``, and answers with one:
exit code, what was written, seconds of the processor, by how many bytes its memory grew at most.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

LIMIT = 4_000_000_000
"""More memory than this, in bytes, is not to be had, so that no case takes the machine down."""


def main() -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # The commands write to the standard streams; the answers go where these led before.
    answers = os.fdopen(os.dup(1), "w")
    from kito.runtime.quiet import import_keras

    import_keras()
    from pytest_kito.cli import app

    for name in ("pytest", "kito.export.artifact", "kito.timing.speedup", "kito.rewrite.reduce"):
        importlib.import_module(name)  # before the first command is measured
    gc.collect()
    gc.freeze()  # so that what is collected before each command are the remains of the last one
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT + _status("VmData"), -1))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(app.main, **json.loads(line))), file=answers, flush=True)


def run(kito_main: Any, argv: list[str], folder: str) -> dict[str, Any]:
    """Run one command in a folder, and say what came of it."""
    os.chdir(folder)
    gc.collect()
    path, modules = list(sys.path), set(sys.modules)
    _reset_peak()
    before, start = _status("VmHWM"), time.process_time()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = [(1, os.dup(1), out), (2, os.dup(2), err)]
        for number, _, file in streams:
            os.dup2(file.fileno(), number)
        try:
            code = _code(kito_main, argv)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, saved, _ in streams:
                os.dup2(saved, number)
                os.close(saved)
        written = []
        for file in (out, err):
            file.seek(0)
            written.append(file.read().decode("utf-8", "surrogateescape"))
    seconds, grown = time.process_time() - start, _status("VmHWM") - before
    sys.path[:] = path
    for name in set(sys.modules) - modules:  # of the folder of this command
        if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
            del sys.modules[name]
    out, err = written
    return {"code": code, "out": out, "err": err, "seconds": seconds, "grown": grown}


def _code(kito_main: Any, argv: list[str]) -> int:
    try:
        if argv[0] == "pytest":
            import pytest

            return int(pytest.main(argv[1:]))
        sys.argv = argv
        kito_main()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 0
    except BaseException:
        traceback.print_exc()
        return -1
    return 0


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(key: str) -> int:
    """A figure of this process in bytes, such as the most memory that it has had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


if __name__ == "__main__":
    main()
