from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import environments, inside, session
from benchmarks.peers.environments import PEERS, python_of
from benchmarks.peers.session import PeerSession
from benchmarks.topics import peers
from kito.errors import KitoError

KITO = PEERS["kito"]
BUILT = {"layers": 9, "batchnorms": 3, "versions": {"kito": "1.0.5"}}
COMPARED = {"layers": 6, "batchnorms": 0, "max": 1e-6, "mean": 1e-8, "scale": 0.5}


class Ours:
    """Converts in two seconds."""

    def convert(self) -> float:
        return 2.0

    def compare(self) -> dict[str, Any]:
        difference = {"max": 2e-6, "mean": 1e-8, "scale": 0.5}
        return {"layers": [9, 5], "batchnorms": [3, 0], "difference": difference}


class Peer:
    """Answers as it is told to; each conversion takes as long as the next of ``seconds``."""

    def __init__(self, seconds: list[float], **answers: Any) -> None:
        self.seconds = iter(seconds)
        self.answers = {"build": BUILT, "compare": COMPARED, **answers}

    def ask(self, do: str, seconds: float, **values: Any) -> Any:
        answer = self.answers.get(do) or {"seconds": next(self.seconds)}
        if isinstance(answer, Exception):
            raise answer
        return answer


def row(*seconds: float, **answers: Any) -> dict[str, Any]:
    return peers.in_turns(Peer(list(seconds), **answers), Ours(), "MobileNet", {})  # type: ignore[arg-type]


def line(found: dict[str, Any]) -> str:
    text = peers.table({"kito/MobileNet": found})
    return next(x for x in text.splitlines() if x.startswith("| MobileNet"))


def test_a_conversion_that_is_right() -> None:
    found = row(10.0, 30.0, 20.0)
    assert found["ratio"] == 10.0
    assert line(found) == (
        "| MobileNet | right | 3 | 0 / 0 | 20.00 | 2.00 | 10.0x | 2.0e-06 / 4.0e-06 |"
    )
    assert "KITO 1.0.5 converts 1 of 1 networks" in peers.table({"kito/MobileNet": found})


@pytest.mark.parametrize("largest", [0.1, float("nan"), float("inf")])
def test_outputs_that_are_wrong(largest: float) -> None:
    found = row(1.0, 1.0, 1.0, compare={**COMPARED, "max": largest})
    assert "| **wrong outputs** |" in line(found)
    assert "converts 0 of 1" in peers.table({"kito/MobileNet": found})


@pytest.mark.parametrize(
    "answer, told",
    [
        ({"error": "TypeError: a | b"}, "fails: `TypeError: a / b`"),
        (TimeoutError(), "fails: `not done in 15 minutes`"),
        (KitoError("KITO 1.0.5 died at 'convert'"), "fails: `KITO 1.0.5 died at 'convert'`"),
    ],
)
def test_a_conversion_that_fails_is_told_and_ours_is_timed(answer: Any, told: str) -> None:
    found = row(convert=answer)
    assert line(found) == f"| MobileNet | {told} | 3 | - / 0 | - | 2.00 | - | - / 4.0e-06 |"


def test_no_round_starts_that_would_not_end_in_time() -> None:
    peer: Any = Peer([1.0] * 3)
    found = peers.in_turns(peer, Ours(), "MobileNet", {}, limit_s=1e-9)
    assert len(found["peer_s"]) == 1


def test_a_cell_that_was_not_measured_counts_for_nothing() -> None:
    rows = {"kito/MobileNet": row(1.0, 1.0, 1.0), "kito/ResNet50": {"error": "no memory"}}
    text = peers.table(rows)
    assert "converts 1 of 1" in text
    assert "KITO 1.0.5, ResNet50: not measured, no memory." in text


def test_a_peer_that_exits_fails() -> None:
    assert inside.attempt(sys.exit) == (None, "SystemExit: no message")
    assert inside.attempt(lambda: 3) == (3, None)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets what a peer's process runs, in this Python."""

    def write(text: str) -> None:
        path = tmp_path / "script.py"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(session, "SCRIPT", path)
        monkeypatch.setattr(session, "python_of", lambda peer: Path(sys.executable))

    return write


def test_a_session_answers_command_by_command(script: Callable[[str], None]) -> None:
    script("import sys\nfor line in sys.stdin: print(line, end='', flush=True)")
    with PeerSession(KITO) as peer:
        assert peer.ask("build", 60, network="MobileNet") == {"do": "build", "network": "MobileNet"}
        assert peer.ask("convert", 60) == {"do": "convert"}


def test_a_session_without_an_answer_times_out(script: Callable[[str], None]) -> None:
    script("import time\ntime.sleep(60)")
    with PeerSession(KITO) as peer, pytest.raises(TimeoutError):
        peer.ask("convert", 0.01)


def test_a_session_that_dies_says_its_last_words(script: Callable[[str], None]) -> None:
    script("import sys\nsys.exit('no such package')")
    with PeerSession(KITO) as peer, pytest.raises(KitoError, match="no such package"):
        peer.ask("convert", 60)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that make an environment; none of them is run."""
    seen: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        for folder in ("bin", "Scripts"):
            (tmp_path / "kito" / folder).mkdir(parents=True, exist_ok=True)
        for python in ("bin/python", "Scripts/python.exe"):
            (tmp_path / "kito" / python).touch()
        return subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setenv("KITO_PEERS", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(environments, "_interpreter", lambda: sys.executable)
    return seen


def test_an_environment_is_made_once(commands: list[list[str]], tmp_path: Path) -> None:
    python = python_of(KITO)
    assert [x[2] for x in commands] == ["venv", "pip"]
    assert "kito==1.0.5" in commands[1]
    assert python_of(KITO) == python
    assert len(commands) == 2
    (tmp_path / "kito" / "installed.txt").unlink()  # as after an interruption
    python_of(KITO)
    assert len(commands) == 4


def test_an_environment_that_pip_cannot_make(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = "ERROR: No matching distribution found for kito\n[notice] a new release of pip\n"
    failed = subprocess.CompletedProcess([], 1, stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda command, **options: failed)
    with pytest.raises(KitoError, match="No matching distribution found"):
        python_of(KITO)
