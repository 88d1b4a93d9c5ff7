"""A cell in its process: what becomes of one that fails. The processes here know no TensorFlow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import cli, runner, topic
from benchmarks.store import Store

TOPIC = """
import os, time
TITLE = "A topic"
LIMIT_S = 30

def cells():
    return ("good", "wrong", "dead", "silent", "good too")

def measure(cell):
    print("noise of a library")
    if cell == "wrong":
        raise ValueError("no such network")
    if cell == "dead":
        os.abort()
    if cell == "silent":
        os._exit(0)
    if cell == "hung":
        time.sleep(600)
    return {"square": 3**2, "share": 1 / 3}

def table(rows):
    return f"{len(rows)} rows"
"""


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A topic that only this test has; returns the folder of its results."""
    (tmp_path / "made_up.py").write_text(TOPIC)
    # The process of a cell finds it by this, and so does this one.
    (tmp_path / "sitecustomize.py").write_text(
        "import benchmarks.topics as t, os\nt.__path__.append(os.path.dirname(__file__))\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(cli.__file__).parents[1]}")
    monkeypatch.setattr(topic.topics, "__path__", [*topic.topics.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "benchmarks.topics.made_up", raising=False)
    return tmp_path / "results"


def run(results: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["made_up", "--machine", "laptop", "--results", str(results), *options])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_run_goes_on_past_cells_that_fail_and_does_not_repeat_them(
    made_up: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(made_up) == 1
    rows = Store("laptop", made_up).rows("made_up", topic.load("made_up").cells())
    assert rows == {
        "good": {"square": 9, "share": 0.333333},
        "wrong": {"error": "ValueError: no such network"},
        "dead": {"error": "crashed with SIGABRT"},
        "silent": {"error": "printed no JSON on its last line"},
        "good too": {"square": 9, "share": 0.333333},
    }
    assert "made_up 2/5 wrong: ValueError: no such network" in capfd.readouterr().err
    assert run(made_up) == 0
    assert "made_up: 0 measured, 5 stored before" in capfd.readouterr().err
    assert run(made_up, "--again", "--only", "too") == 0
    assert "made_up: 1 measured, 0 stored before" in capfd.readouterr().err


@pytest.mark.usefixtures("made_up")
def test_a_cell_that_hangs_is_stopped() -> None:
    record = runner.run_cell("made_up", "hung", limit_s=1)
    assert record["error"] == "stopped after 1 s, the time limit of a cell"
    assert record["seconds"] < 60


def test_an_unknown_topic_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["speeed"])
    assert ended.value.code == 2
    assert "there is no topic speeed" in " ".join(capsys.readouterr().err.split())
