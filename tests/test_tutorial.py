"""The tutorial and the first steps work as written: every file, every command, every output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
INSTALL = """\
python3 -m venv .venv
. .venv/bin/activate
pip install {}
"""
"""What the test has in place already: the package that is tested, and what it needs."""
NUMBER = re.compile(r"\d[\d.,]*(e[+-]?\d+)?")


def blocks(text: str) -> list[tuple[str, str, str]]:
    """The blocks of a page: language, title or nothing, text."""
    return re.findall(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)


def environment(home: Path) -> dict[str, str]:
    """That of a reader, with the interpreter that runs the tests in the place of theirs."""
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "GIT_"))}
    # A checkout may be on the path relative to where the tests run.
    path = [os.path.abspath(x) for x in outer.get("PYTHONPATH", "").split(os.pathsep) if x]
    who = {
        f"GIT_{x}_{y}": "me@example.com" for x in ("AUTHOR", "COMMITTER") for y in ("NAME", "EMAIL")
    }
    return {
        **outer,
        **who,
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{outer['PATH']}",
        "PYTHONPATH": os.pathsep.join(path),
    }


def plain(text: str) -> list[str]:
    """Lines without what differs from machine to machine: numbers, and widths of columns."""
    return [" ".join(NUMBER.sub("N", line).split()) for line in text.splitlines()]


def assert_shows(output: str, expected: str) -> None:
    """Every line that the page shows is part of a line of the output, in the same order."""
    lines = iter(plain(output))
    for wanted in plain(expected):
        assert wanted == "..." or any(wanted in line for line in lines), f"{wanted!r}\n{output}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, package, commands",
    [
        pytest.param("tutorial.md", "pytest-kito", 7, marks=pytest.mark.nightly),
        ("first-steps.md", "'pytest-kito[report]'", 7),
    ],
)
def test_a_page_works_from_top_to_bottom(
    name: str, package: str, commands: int, tmp_path: Path
) -> None:
    folder, home = tmp_path / "empty", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    env, output, ran = environment(home), "", 0
    page = (DOCS / name).read_text(encoding="utf-8")
    (_, _, install), *rest = blocks(page)
    assert install == INSTALL.format(package)
    for language, title, text in rest:
        if title:
            assert f"`{title}`" in page, "GitHub shows no titles"
            (folder / title).parent.mkdir(parents=True, exist_ok=True)
            (folder / title).write_text(text, encoding="utf-8")
        elif language == "bash":
            where = tmp_path / "where"  # a reader's shell stays where `cd` led
            command = ["bash", "-euo", "pipefail", "-c", f"{text}\npwd > '{where}'"]
            run = subprocess.run(
                command, cwd=folder, env=env, capture_output=True, text=True, timeout=300
            )
            output, ran = run.stdout, ran + 1
            assert run.returncode == 0, f"{text}\n{run.stdout}\n{run.stderr}"
            folder = Path(where.read_text(encoding="utf-8").strip())
        else:
            assert_shows(output, text)
    assert ran == commands
    if name == "tutorial.md":
        assert output == "", "git status: everything is committed or ignored"
