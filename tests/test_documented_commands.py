"""The commands and options that the documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from pytest_kito.cli.app import app

ROOT = Path(__file__).parent.parent
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / "action" / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]
}
COMMANDS = sorted(
    {
        (command, option)
        for text in TEXTS.values()
        for command, rest in re.findall(
            r"(?:`|^\$ |^)kito (?:--debug )?([a-z][a-z-]*)([^`\n#]*)", text, re.MULTILINE
        )
        for option in re.findall(r"(?<!\S)\[?(--?[a-z-]+)", rest) or [""]
    }
)


@pytest.mark.parametrize("command, option", COMMANDS)
def test_a_command_is_one_of_kito(command: str, option: str) -> None:
    known = getattr(get_command(app), "commands")  # noqa: B009 - mypy knows no group here
    assert command in known
    options = {name for parameter in known[command].params for name in parameter.opts}
    assert option in {"", "--help", *options}


def test_there_are_commands_to_look_at() -> None:
    assert {"explain", "reduce", "compare", "bench", "verify"} <= {name for name, _ in COMMANDS}


@pytest.mark.parametrize("document", TEXTS)
def test_an_option_is_one_of_the_plugin(document: str, pytestconfig: pytest.Config) -> None:
    known = {name.replace("_", "-") for name in vars(pytestconfig.option) if "kito" in name}
    assert set(re.findall(r"--(kito-[a-z-]+)", TEXTS[document])) <= known
