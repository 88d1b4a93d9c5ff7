"""Two processes that publish into one folder at once: ``together.py DIR N``, N times."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import killed

TRIES = int(sys.argv[2])
VERSIONS = ("1", "3")


def child(folder: Path, version: str, start: int) -> None:
    os.read(start, 1)
    try:
        killed.finish(folder, version)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(1)
    os._exit(0)


def main(place: Path) -> None:
    os.fsync = lambda descriptor: None
    for attempt in range(TRIES):
        folder = place / str(attempt)
        folder.mkdir()
        start, go = os.pipe()
        pids = []
        for version in VERSIONS:
            pid = os.fork()
            if pid == 0:
                child(folder, version, start)
            pids.append(pid)
        os.write(go, b"go")
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        assert statuses == [0, 0], attempt
        os.close(start)
        os.close(go)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
