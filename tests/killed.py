"""Sessions that are killed while they publish: ``python -m killed DIR WHAT`` runs one per point.

A point is a moment right before a change to a file below DIR, right after a flush to disk, or in
the middle of a write. ``DIR/N`` holds what the session killed at its N-th point left behind.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kito_results import plain_pass, results

from kito.export import files
from kito.export.publishing import merge_folders
from kito.export.scratch import ScratchFolder
from pytest_kito.artifacts.publish import publish
from pytest_kito.reports.json import write_report
from pytest_kito.reports.results import Finding, Results

CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir")


def content(name: str, version: str) -> bytes:
    """A model file of a version."""
    return f"{name} {version}".encode() * 1000


MODELS = {"1": ("a", "b"), "2": ("a", "b", "new"), "3": ("c",), "4": ("a", "b", "c")}
"""The models of each version of a session; in version 2, ``b`` fails."""


def session(staging: Path, version: str) -> Results:
    """The results of a session whose artifacts are staged."""
    findings: list[Finding] = []
    for name in MODELS[version]:
        of_model = plain_pass(name)
        data, path = of_model[-1].data, staging / f"{name}.keras"
        assert data is not None
        path.write_bytes(content(name, version))
        digest = hashlib.sha256(content(name, version)).hexdigest()
        data.update(bytes=len(content(name, version)), sha256=digest)
        of_model[-1].staged = str(path)
        if (name, version) == ("b", "2"):
            of_model[1] = Finding(name, "equivalence", "failed", "it differs")
        findings += of_model
    return results(*findings)


def finish(folder: Path, version: str) -> None:
    """Write everything that a session leaves on disk."""
    folder.mkdir(exist_ok=True)
    with ScratchFolder(folder) as staging:
        outcome = session(staging, version)
        publish(outcome, folder)
    write_report(outcome, folder / "report.json")


def merge(folder: Path) -> None:
    """Merge two folders of artifacts into one."""
    merge_folders([folder / "one", folder / "two"], folder / "all")


def arm(folder: Path, nth: int) -> None:
    """Kill this process at its n-th point."""
    count = 0

    def point() -> None:
        nonlocal count
        count += 1
        if count == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(name: str, args: tuple[Any, ...]) -> None:
        opened = name == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if (opened or name in CHANGES) and str(args[0]).startswith(str(folder)):
            point()

    def open_to_write(descriptor: int, *args: Any, **more: Any) -> Any:
        file = open(descriptor, *args, **more)  # noqa: SIM115

        def write_in_halves(blocks: Iterable[bytes]) -> None:
            data = b"".join(blocks)
            file.write(data[: len(data) // 2])
            file.flush()
            point()
            file.write(data[len(data) // 2 :])

        file.writelines = write_in_halves
        return file

    def flush(descriptor: int) -> None:
        point()

    os.fsync = flush  # type: ignore[assignment]
    files.open = open_to_write  # type: ignore[attr-defined]
    sys.addaudithook(hook)


def main(place: Path, what: str) -> None:
    os.fsync = lambda descriptor: None  # a process that is killed takes no power away
    for nth in range(1, 1000):
        folder = place / str(nth)
        folder.mkdir()
        if what == "finish":
            finish(folder, "1")
        else:
            finish(folder / "one", "1")
            finish(folder / "two", "3")
        pid = os.fork()
        if pid == 0:
            arm(folder, nth)
            finish(folder, "2") if what == "finish" else merge(folder)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
