"""Every message that docs/troubleshooting.md quotes is one that the code writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
GAP = ".."
"""What stands for names and numbers, in the page and in the templates."""


def messages() -> Iterator[str]:
    """The blocks of the page, and of each table the first cells that quote something."""
    for block in re.findall(r"```text\n(.+?)\n```", PAGE, re.DOTALL):
        yield from block.splitlines()
    rows = re.findall(r"^\| `([^|]+)` \|", PAGE, re.MULTILINE)
    # Single words are phases, and what ends in a colon and a gap or in braces is a line to paste.
    yield from (
        row for row in rows if " " in row and not re.match(r"[a-z]+: (\.\.|\{|random)", row)
    )


def template(node: ast.AST) -> str:
    """A string of the code with a gap for each value; empty for any other node."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(template, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"'{GAP}'" if node.conversion == ord("r") else GAP
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.fixture(scope="module")
def templates() -> list[str]:
    files = [x for package in ("kito", "pytest_kito") for x in (ROOT / package).rglob("*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return [text for tree in trees for node in ast.walk(tree) if (text := template(node))]


@pytest.mark.parametrize("message", list(messages()))
def test_the_code_writes(message: str, templates: list[str]) -> None:
    parts = [re.escape(part.strip()) for part in message.split(GAP)]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    assert any(pattern.search(text) for text in templates)
