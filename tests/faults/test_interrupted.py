"""SIGTERM and SIGINT at random moments: afterwards a folder is whole, or as it was before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")


def interrupted(place: Path, what: str, count: int) -> list[dict[str, Any]]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, Path(__file__).with_name("interrupted.py"), place, what, str(count)]
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("what", ["publish", "merge", "reduce"])
def test_nothing_is_half_done(tmp_path: Path, what: str, count: int) -> None:
    found = interrupted(tmp_path, what, count)
    assert len(found) == count
    states = [x["state"] for x in found]
    assert set(states) <= {"new", "before"}
    # Keras turns an interrupt at some points into an error of its own: 1.
    assert {x["ended"] for x in found} <= {0, 130, -15, *([1] if what == "reduce" else [])}
    assert any(x["ended"] for x in found)
    # What a process that ends could not remove itself, the next one removes.
    assert [x for x in found if x["ended"] == 0 and x["left"]] == []
    assert [x for x in found if x["after"] != "new" or x["left_after"]] == []
    if count > 100:
        assert set(states) == {"new", "before"}
