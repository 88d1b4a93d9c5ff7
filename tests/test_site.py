"""The site: links of pages, and what a page loads. `.ci/lint` builds the whole of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HOOKS = Path(__file__).parent.parent / ".ci" / "docs_site.py"


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_site", HOOKS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page, link, placed",
    [
        pytest.param("how-to.md", "timing.md#xla", "timing.md#xla", id="another page"),
        pytest.param("how-to.md", "#speed", "#speed", id="the page itself"),
        pytest.param("how-to.md", "https://keras.io/", "https://keras.io/", id="another host"),
        pytest.param("how-to.md", "../action/README.md#a", "action.md#a", id="to a page outside"),
        pytest.param("action.md", "../docs/timing.md", "timing.md", id="from a page outside"),
        pytest.param(
            "examples/digits/index.md", "../../docs/metrics.md", "../../metrics.md", id="deeper"
        ),
        pytest.param(
            "how-to.md",
            "../kito/errors.py",
            "https://host/repo/blob/main/kito/errors.py",
            id="file",
        ),
        pytest.param("how-to.md", "../kito", "https://host/repo/tree/main/kito", id="folder"),
        pytest.param("how-to.md", "../gone.md", "../gone.md", id="nothing, which MkDocs reports"),
    ],
)
def test_links_lead_where_they_lead_on_github(
    site: ModuleType, page: str, link: str, placed: str
) -> None:
    assert site.relinked(f"a [b]({link}) c", page, "https://host/repo") == f"a [b]({placed}) c"


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/a.js">',
        "<link rel=stylesheet href=https://fonts.example/css>",
        "<img alt=x src='//example/a.png'>",
    ],
)
def test_a_page_loads_nothing_from_elsewhere(site: ModuleType, html: str) -> None:
    assert len(site.loads_from_elsewhere(html, "https://own/")) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://keras.io/">a link</a>',
        '<script src="assets/a.js">',
        '<link rel="canonical" href="https://own/a.html">',
    ],
)
def test_links_and_own_files_are_no_loads(site: ModuleType, html: str) -> None:
    assert site.loads_from_elsewhere(html, "https://own/") == []
