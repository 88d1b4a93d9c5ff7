"""Two sessions on one folder of artifacts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kito.export.manifest import MANIFEST, SUMS, read_manifest, verify

TRIES = 30


@pytest.mark.skipif(os.name != "posix", reason="needs fork")
def test_two_sessions_at_once_are_both_in_the_manifest(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = Path(__file__).with_name("together.py")
    subprocess.run([sys.executable, script, tmp_path, str(TRIES)], env=environ, check=True)
    folders = list(tmp_path.iterdir())
    assert len(folders) == TRIES
    for folder in folders:
        assert [entry["file"] for entry in read_manifest(folder)] == [
            "a.keras",
            "b.keras",
            "c.keras",
        ]
        assert verify(folder) == []
        names = {path.name for path in folder.iterdir()}
        assert names == {"a.keras", "b.keras", "c.keras", "report.json", MANIFEST, SUMS}
