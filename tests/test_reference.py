"""The reference on the built site names all that there is: it is made from the code."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import kito
import pytest_kito.plugin
from pytest_kito.cli.app import app

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocstrings", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    # Without the variable, Material prints an advertisement as a warning.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def text_of(page: Path) -> str:
    """What a reader sees of the page itself."""
    body = page.read_text(encoding="utf-8").split("<article", 1)[1].split("</article>")[0]
    return html.unescape(re.sub("<[^>]+>", "", body))


def test_each_public_name_and_member(site: Path) -> None:
    anchors = set(re.findall(r'id="([\w.]+)"', (site / "python.html").read_text("utf-8")))
    names = {f"kito.{name}" for name in kito.__all__}
    for name in kito.__all__:
        members = vars(getattr(kito, name)) if isinstance(getattr(kito, name), type) else {}
        own = {x for x, value in members.items() if callable(value) or isinstance(value, property)}
        names |= {f"kito.{name}.{x}" for x in own if not x.startswith("_")}
    names |= {f"pytest_kito.session.fixtures.{name}" for name in pytest_kito.plugin.__all__}
    assert names - anchors == set()


def test_each_command_and_option(site: Path) -> None:
    _, *sections = re.split(r"^kito (?=[a-z-]+¶)", text_of(site / "command-line.html"), flags=re.M)
    commands: dict[str, Any] = getattr(get_command(app), "commands")  # noqa: B009 - as mypy sees it
    assert [section.partition("¶")[0] for section in sections] == list(commands)
    for section, command in zip(sections, commands.values(), strict=True):
        words = {*re.findall(r"[\w-]+", section)}
        assert {x for parameter in command.params for x in parameter.opts} - words == set()


def test_each_option_of_pytest(site: Path, pytestconfig: pytest.Config) -> None:
    words = {*re.findall(r"[\w-]+", text_of(site / "options.html"))}
    for name in (name for name in vars(pytestconfig.option) if name.startswith("kito_")):
        assert {f"--{name.replace('_', '-')}", name} - words == set()


@pytest.mark.parametrize(
    "page, schema",
    [
        ("kito-yaml-keys.html", "config/kito.schema.json"),
        ("report-keys.html", "reports/report.schema.json"),
    ],
)
def test_each_key_of_a_schema(site: Path, page: str, schema: str) -> None:
    document = json.loads((ROOT / "pytest_kito" / schema).read_text(encoding="utf-8"))
    _, *sections = re.split(r"<h[12] ", (site / page).read_text(encoding="utf-8"))
    keys = [{*re.findall(r"<td><code>(?:[\w.\[\]]+\.)?(\w+)</code></td>", x)} for x in sections]
    for part in [document, *document["$defs"].values()]:
        assert any(set(properties(part)) <= found for found in keys), part.get("title")


def properties(part: Any) -> Iterator[str]:
    """The keys of an object, and of those that are written inside of it."""
    inner = part.get("properties", {}) if isinstance(part, dict) else {}
    for key, value in inner.items():
        yield key
        yield from properties(value)
        yield from properties(value.get("items"))
