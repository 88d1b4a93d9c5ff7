"""release_notes.py: the words of a person stay whole, and the notes have room on GitHub."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from action.acting import ROOT

HEAD = "### kito: passed\n\n| model | result |\n| --- | --- |\n"
ROWS = [f"| model_{i:04} | {'x' * 130} |" for i in range(900)]
TABLE = HEAD + "\n".join(ROWS) + "\n\nOn a machine.\n"
RUN = "https://github.com/me/models/actions/runs/7"


def notes(tmp_path: Path, words: str, table: str) -> str:
    """The notes of a release whose notes a person has written."""
    release, summary = tmp_path / "release.json", tmp_path / "summary.md"
    release.write_text(json.dumps({"body": words}))
    summary.write_text(table)
    command = [sys.executable, "-I", str(ROOT / "action" / "release_notes.py"), str(release)]
    command += [str(summary), str(summary), "me/models", RUN, "false"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("words", ["", "y" * 60_000])
def test_a_table_that_is_too_long_for_the_notes_is_cut_at_whole_rows(
    tmp_path: Path, words: str
) -> None:
    assert len(TABLE) > 125_000
    body = notes(tmp_path, words, TABLE)
    assert body.startswith(words)
    rows = [line for line in body.splitlines() if line.startswith("| model_")]
    assert rows == ROWS[: len(rows)]
    assert f"{900 - len(rows)} more models had no room here" in body
    assert f"[the run]({RUN})" in body
    assert "On a machine." in body
    assert "SHA-256 of `kito-manifest.json`" in body
    # Not a single row more would have had room.
    assert 125_000 - len(ROWS[0]) - 2 < len(body) <= 125_000


def test_without_room_for_a_table_the_notes_have_the_digest(tmp_path: Path) -> None:
    words = "y" * 124_500
    body = notes(tmp_path, words, TABLE)
    assert body.startswith(words + "\n\n<!-- kito: begin -->\n\nSHA-256")
    assert "| model" not in body
