"""The drawings of docs/rewrites.md are what the tool draws now."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from kito.rewrite.passes.names import PASSES

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "drawings"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drawn", ROOT / ".ci" / "draw_rewrites.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.backends("tensorflow")
@pytest.mark.parametrize("name", PASSES)
def test_a_drawing_is_what_the_pass_does(script: ModuleType, name: str) -> None:
    drawn = script.draw_pass(name)
    assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == drawn, (
        "the drawing is not up to date: python .ci/draw_rewrites.py"
    )
    # Something is struck out, has changed, or is new.
    assert re.search(r'class="kd[gtkm]"|>was |>changed places', drawn)


def test_each_pass_is_shown_in_its_section_in_words_too() -> None:
    text = (ROOT / "docs" / "rewrites.md").read_text(encoding="utf-8")
    shown = re.findall(r"^## (\w+)\n\n!\[([^]]{40,})\]\(drawings/\1\.svg\)$", text, re.MULTILINE)
    assert [name for name, _ in shown] == list(PASSES)
    assert {path.stem for path in FOLDER.iterdir()} == set(PASSES)
