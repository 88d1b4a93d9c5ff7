"""Processes that get a signal while they change files: ``interrupted.py DIR WHAT COUNT``.

Each child does ``WHAT`` in a folder of its own, and gets SIGTERM or SIGINT at a random moment. What
it left is printed, one JSON object per line: ``state`` is ``new``, ``before`` or ``broken``;
``ended`` is how the process ended; ``left`` are the temporary files; ``after`` is the state after
the same work was done again, with what was then left in ``left_after``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import killed

from kito.errors import KitoError
from kito.export.manifest import verify


class Publishing:
    """A later session publishes a model more, into the folder of an earlier one."""

    def prepare(self, folder: Path) -> None:
        killed.finish(folder, "1")

    def work(self, folder: Path) -> None:
        killed.finish(folder, "4")

    def whole(self, folder: Path) -> bool:
        return (folder / "c.keras").exists() and verify(folder) == []


class Merging:
    """Two folders are merged into one."""

    def prepare(self, folder: Path) -> None:
        for source, version in (("one", "1"), ("two", "3")):
            killed.finish(folder.with_name(f"{folder.name}-{source}"), version)

    def work(self, folder: Path) -> None:
        sources = [folder.with_name(f"{folder.name}-{source}") for source in ("one", "two")]
        try:
            killed.merge_folders(sources, folder)
        except KitoError as error:
            if "already" not in str(error):
                raise

    def whole(self, folder: Path) -> bool:
        return len(list(folder.glob("*.keras"))) == 3 and verify(folder) == []


class Reducing:
    """``kito reduce MODEL -o FILE``, from the moment when the reduced model is there."""

    def __init__(self) -> None:
        from artifact_files import net

        from kito.export import artifact
        from kito.export.proof import Baseline
        from kito.runtime.random_inputs import random_inputs

        model, place = net(), Path(sys.argv[1])
        baseline = Baseline(model, random_inputs(model))
        artifact.write_artifact(model, baseline, place, "net")
        proof = artifact.prove(place / "net.keras", "keras", baseline)
        self.expected = (place / "net.keras").read_bytes()

        def prove(*arguments: Any) -> Any:
            time.sleep(0.01)  # TensorFlow cannot run in a forked process
            return proof

        artifact.prove = prove
        self.write = lambda folder: artifact.write_artifact(model, baseline, folder, "net")

    def prepare(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "net.keras").write_text("the older file")
        (folder / "notes.txt").write_text("a file of the user")

    def work(self, folder: Path) -> None:
        self.write(folder)

    def whole(self, folder: Path) -> bool:
        return (folder / "net.keras").read_bytes() == self.expected


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder that are not temporary."""
    paths = folder.iterdir() if folder.exists() else ()
    return {x.name: x.read_bytes() for x in paths if not x.name.startswith(".kito-")}


def left(folder: Path) -> list[str]:
    paths = folder.iterdir() if folder.exists() else ()
    return sorted(x.name for x in paths if x.name.startswith(".kito-"))


def start(work: Callable[[Path], None], folder: Path) -> int:
    """Do the work in a child; returns its number when it is about to begin."""
    ready, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.write(begin, b"x")
            work(folder)
            code = 0
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    os.read(ready, 1)
    os.close(ready)
    os.close(begin)
    return pid


def main(place: Path, what: str, count: int) -> None:
    kind = {"publish": Publishing, "merge": Merging, "reduce": Reducing}[what]()
    os.fsync = lambda descriptor: None  # a signal takes no power away
    draw = random.Random(0)
    times = []
    for name in ("first", "second", "third"):  # undisturbed, to know how long it takes
        kind.prepare(place / name)
        begin = time.monotonic()
        assert os.waitpid(start(kind.work, place / name), 0)[1] == 0
        times.append(time.monotonic() - begin)
        assert kind.whole(place / name)
    seconds = min(times)
    for attempt in range(count):
        folder = place / str(attempt)
        kind.prepare(folder)
        before = content(folder)
        pid = start(kind.work, folder)
        time.sleep(draw.uniform(0.0, seconds))
        sent = (signal.SIGTERM, signal.SIGINT)[attempt % 2]
        os.kill(pid, sent)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        state = "before" if content(folder) == before else "broken"
        state = "new" if kind_whole(kind, folder) else state
        found = {"sent": sent.name, "ended": ended, "state": state, "left": left(folder)}
        assert os.waitpid(start(kind.work, folder), 0)[1] == 0
        found["after"] = "new" if kind_whole(kind, folder) else "broken"
        found["left_after"] = left(folder)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def kind_whole(kind: Any, folder: Path) -> bool:
    try:
        return bool(kind.whole(folder))
    except (KitoError, OSError):
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
