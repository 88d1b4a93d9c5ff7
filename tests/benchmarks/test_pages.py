"""The generated pages, plots and blocks."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ROOT, plots
from benchmarks.pages import Pages
from benchmarks.store import Store
from benchmarks.topics import conversion

ENVIRONMENT = {"cpu": "A CPU", "cores": 2, "python": "3.11", "packages": {"keras": "3.15"}}


def chain(layers: int) -> dict[str, Any]:
    """A chain whose reduction takes time in proportion to its layers."""
    ratio = {"median": 0.5, "low": 0.4, "high": 0.6}
    times = {"reduce_s": layers / 100, "clone_s": layers**2 / 1e4}
    return {"layers": layers, "parameters": layers, "ratio": ratio, "growth": None, **times}


def save(folder: Path, cell: str, machine: str = "laptop", **outcome: Any) -> None:
    record = {"environment": ENVIRONMENT, "date": "2026-01-31", "seconds": 1.0, "load": 0.0}
    Store(machine, folder / "results").save("conversion", cell, {**record, **outcome})


drawing = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="draws: pip install 'pytest-kito[benchmarks]'"
)


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    (tmp_path / "README.md").write_text(
        "before\n<!-- benchmarks:conversion -->\nold\n<!-- /benchmarks:conversion -->\nafter\n"
    )
    for cell in ("chain-15x16", "chain-30x16", "chain-60x16"):
        save(tmp_path, cell, result=chain(3 * int(cell[6:8])))
    save(tmp_path, "nasnet_large", error="no memory")
    return Pages(tmp_path, tmp_path / "results")


def test_the_pages_of_this_repository_are_those_of_its_results() -> None:
    assert [x.relative_to(ROOT).as_posix() for x in Pages().stale()] == [], (
        "run python -m benchmarks pages, and commit what it writes"
    )


def test_each_topic_has_one_section() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings)) > 2


@drawing
def test_results_become_a_page_a_block_and_a_plot(pages: Pages, tmp_path: Path) -> None:
    changed = [x.relative_to(tmp_path).as_posix() for x in pages.write()]
    plot = "docs/plots/conversion-laptop.svg"
    assert sorted(changed) == ["README.md", "docs/benchmarks.md", plot]
    readme, page, drawn = ((tmp_path / x).read_text() for x in sorted(changed))
    row = "| chain-15x16 | 45 | 0.00 | 0.45 | 0.20 | 0.50 | - |"
    assert row in readme
    assert row in page
    assert readme.startswith("before\n<!--")
    assert readme.endswith("-->\nafter\n")
    assert "old" not in readme
    assert "layers to the power of 1.00, that of the copy to the power of 2.00" in page
    assert "**A CPU, 2 cores, Python 3.11, keras 3.15. 2026-01-31.**" in page
    assert "- `nasnet_large`: no memory" in page
    assert "](plots/conversion-laptop.svg)" in page
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "fill: #ffffff" not in drawn, "a white background"
    assert pages.write() == []


@drawing
def test_check_finds_what_is_out_of_step(pages: Pages, tmp_path: Path) -> None:
    pages.write()
    save(tmp_path, "chain-120x16", result=chain(360))
    stale = [x.name for x in pages.stale()]
    assert stale == ["README.md", "benchmarks.md", "conversion-laptop.svg"]
    (tmp_path / "docs" / "plots" / "gone.svg").write_text("")
    assert [x.name for x in pages.write()] == [*stale, "gone.svg"]
    assert pages.stale() == []


def test_a_block_shows_one_machine_and_the_page_all(pages: Pages, tmp_path: Path) -> None:
    save(tmp_path, "chain-240x16", machine="server", result=chain(720))
    readme, page = tmp_path / "README.md", tmp_path / "docs" / "benchmarks.md"
    texts = pages.texts()
    assert "chain-240x16" not in texts[readme]
    assert "chain-240x16" in texts[page]
    assert "chain-15x16" in texts[page]
    named = readme.read_text().replace("conversion -->", "conversion server -->", 1)
    readme.write_text(named)
    assert "chain-240x16" in pages.texts()[readme]
    assert "chain-15x16" not in pages.texts()[readme]


@drawing
def test_a_plot_is_the_same_bytes_again() -> None:
    rows = {f"chain-{n}x16": chain(3 * n) for n in (15, 30, 60)}
    assert plots.svg(conversion, rows) == plots.svg(conversion, rows)
    assert plots.is_of(plots.svg(conversion, rows), rows)
