"""The line on the terminal that says what a long check is at."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kito.session.progress import Progress

Repository = Callable[[str], pytest.Pytester]
SHOWN = re.compile(r"\x1b7 (.*?)\x1b\[K\x1b8")


def test_on_a_terminal_it_is_shown_and_taken_away(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          small: {source: "nets:net", speedup: {device: cpu, batch_size: 1, budget_s: 2}}
        """
    )
    output = _in_terminal([sys.executable, "-m", "pytest", "--kito-check", "-v"], folder)
    shown = SHOWN.findall(output)
    for text in (
        "reduction: build",
        "equivalence: compare",
        r"speedup\[1\]: \d+ pairs?, at most 1 s",
    ):
        assert any(re.fullmatch(f"small: {text}", x) for x in shown)
    assert shown[-1] == ""
    clean = re.sub(r"\x1b\[[0-9;]*m", "", SHOWN.sub("", output))
    assert re.search(r"^kito.yaml::small::speedup\[1\] PASSED", clean, re.MULTILINE)
    assert "pair" not in clean.partition("= kito =")[0]


def _in_terminal(command: list[str], folder: pytest.Pytester) -> str:
    """What a program writes to a terminal."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=its, cwd=folder.path, env=environment)
    os.close(its)
    chunks: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(ours, 4096):
                chunks.append(chunk)
        except OSError:  # this is how a terminal ends
            pass

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait() == 0
    reader.join()
    os.close(ours)
    return b"".join(chunks).decode()


@pytest.mark.parametrize(
    "verbose, terminal, term, shown",
    [
        (0, True, "xterm", True),
        (-1, True, "xterm", False),
        (0, False, "xterm", False),
        (0, True, "dumb", False),
    ],
)
def test_it_is_shown_only_where_it_can_be_taken_away(
    verbose: int, terminal: bool, term: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    plugins: dict[str, Any] = {
        "terminalreporter": SimpleNamespace(isatty=lambda: terminal),
        "capturemanager": SimpleNamespace(global_and_fixture_disabled=nullcontext),
    }
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    config: Any = SimpleNamespace(
        option=SimpleNamespace(verbose=verbose),
        pluginmanager=SimpleNamespace(getplugin=plugins.get),
        get_terminal_writer=lambda: SimpleNamespace(fullwidth=30, width_of_current_line=10),
    )
    with Progress(config, "small") as progress:
        progress.phase("building the model from its source")
        progress.limit_s = 7
        progress.pairs(3)
        progress.pairs(4)  # too soon after the last
    expected = ["small: building th", "small: 3 pairs, at", ""] if shown else []
    assert SHOWN.findall(written.getvalue()) == expected
