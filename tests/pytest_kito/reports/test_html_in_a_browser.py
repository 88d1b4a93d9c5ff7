"""The HTML report in Chromium: it works, is accessible, fits a phone, and waits with the parsing.

Debian's package ``chromium``, or Chrome, is used where it is found.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import pytest
from html_reports import HOSTILE, report

import kito
from pytest_kito.cli.explain_html import write_explanation
from pytest_kito.cli.explanation import explain_reduction
from pytest_kito.reports.html.history import read_history
from pytest_kito.reports.html.page import write_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        FOUND is None, reason="there is no Chromium on PATH; on Debian: apt-get install chromium"
    ),
]
SCREENS = [(390, "light"), (1280, "dark")]
Open = Callable[..., "Page"]
SHOWN = "rows => rows.filter(x => !x.hidden).map(x => x.cells[0].textContent)"
ROWS = ".overview tbody tr"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        started = playwright.chromium.launch(executable_path=FOUND, args=arguments)
        yield started
        started.close()


@pytest.fixture
def show(browser: Browser) -> Iterator[Open]:
    """Open a file; afterwards, nothing may have been loaded but files named, and nothing said."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def show_page(path: Path, *, anchor: str = "", idle: bool = True, **options: Any) -> Page:
        # Offline: what a file loads from elsewhere would be an error.
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        if not idle:
            page.add_init_script("delete window.requestIdleCallback")
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
        page.goto(f"{path.as_uri()}{anchor}")
        return page

    yield show_page
    for context in contexts:
        context.close()
    assert said == []
    assert all(url.startswith("file:") and url.endswith(".html") for url in asked)
    assert len(asked) == len(contexts)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 14 models with a history; the first has a hostile name."""
    folder = tmp_path_factory.mktemp("page")
    for run in range(3):
        (folder / f"{run}.json").write_text(json.dumps(report(14, run)))
    write_page(report(14, 3, name=HOSTILE), folder / "r.html", read_history(folder))
    return folder / "r.html"


def test_models_are_sorted_filtered_searched_and_opened_by_keyboard(
    show: Open, page_file: Path
) -> None:
    page = show(page_file)
    names = page.eval_on_selector_all(ROWS, SHOWN)
    assert len(names) == 14
    assert HOSTILE[:30] in names[0]

    head = page.get_by_role("columnheader", name="Speed-up")
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    keys = page.eval_on_selector_all(ROWS, "rows => rows.map(x => x.cells[6].dataset.key)")
    figures = [float(key) for key in keys if key is not None]
    assert len(figures) == 13
    assert figures == sorted(figures)
    assert None not in keys[: len(figures)]
    head.get_by_role("button").press(" ")
    assert head.get_attribute("aria-sort") == "descending"
    sorted_names = page.eval_on_selector_all(ROWS, SHOWN)
    order = page.eval_on_selector_all(".models h3", "heads => heads.map(x => x.textContent)")
    assert order == sorted_names
    head.get_by_role("button").press("Enter")
    assert page.eval_on_selector_all(ROWS, SHOWN) == names

    page.get_by_role("radio", name="Failed").focus()
    page.keyboard.press("Space")
    failed = page.eval_on_selector_all(ROWS, SHOWN)
    assert len(failed) == 2
    assert page.locator("details.model:visible").count() == 2
    assert page.get_by_role("status").text_content() == "2 of 14 shown"
    page.get_by_role("searchbox").fill("nothing of the kind")
    assert page.eval_on_selector_all(ROWS, SHOWN) == []
    page.get_by_role("button", name="Show all models").press("Enter")
    assert page.eval_on_selector_all(ROWS, SHOWN) == names
    page.get_by_role("searchbox").fill("RESNET")
    assert page.eval_on_selector_all(ROWS, SHOWN) == ["resnet50_0", "resnet50_1"]

    page.get_by_role("link", name="resnet50_1").press("Enter")
    box = page.locator("details[data-model=model-resnet50_1]")
    page.wait_for_function("document.querySelectorAll('details.model[open]').length === 1")
    assert box.get_by_role("heading", name="Same outputs").is_visible()
    page.keyboard.press("Enter")  # its summary has the focus
    assert not box.get_by_role("heading", name="Same outputs").is_visible()


def test_a_link_to_a_model_opens_it(show: Open, page_file: Path) -> None:
    for scripts in (True, False):
        page = show(page_file, anchor="#model-resnet50_1", java_script_enabled=scripts)
        heading = page.locator("#model-resnet50_1 h4").first
        heading.wait_for(state="visible", timeout=5000)
        assert page.locator(".controls").is_visible() is scripts
        assert page.locator("thead button").count() == (7 if scripts else 0)


@pytest.mark.parametrize("width, scheme", SCREENS)
def test_it_fits_and_is_accessible(show: Open, page_file: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = show(page_file, viewport={"width": width, "height": 844}, color_scheme=scheme)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(246, 247, 249)") is (scheme == "light")
    # The first four have every kind of plot; with all of them, axe would take a minute.
    for box in page.locator("details.model").all()[:4]:
        box.evaluate("box => box.querySelectorAll('details').forEach(x => { x.open = true })")
        box.evaluate("box => { box.open = true }")
    for region in page.locator("details.model[open] svg[role=img]").all():
        assert region.get_attribute("aria-label")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    clipped = """boxes => boxes.filter(x => x.getBoundingClientRect().right > innerWidth + 1
        && !x.closest(".scroll")).map(x => x.outerHTML.slice(0, 200))"""
    assert page.eval_on_selector_all("main *:not(svg *)", clipped) == []
    found = axe.run(page).response["violations"]
    grave = [x for x in found if x["impact"] in ("serious", "critical")]
    assert [(x["id"], [node["html"] for node in x["nodes"]][:3]) for x in grave] == []


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of ``kito explain --html`` for a network with wide cells."""
    path = tmp_path_factory.mktemp("explained") / "net.html"
    reduction = kito.reduce(keras.applications.NASNetMobile(weights=None))
    write_explanation(reduction, explain_reduction(reduction, every=False), path)
    return path


@pytest.mark.parametrize("width, scheme", SCREENS)
def test_a_wide_network_fits_and_is_accessible(
    show: Open, explained: Path, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = show(explained, viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.eval_on_selector_all("details", "boxes => boxes.slice(0, 3).forEach(x => x.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wider = "boxes => boxes.map(x => x.scrollWidth - x.clientWidth)"
    beyond = page.eval_on_selector_all("details[open] > div", wider)
    assert len(beyond) == 3
    # On a phone, a drawing of two branches scrolls inside of its block.
    assert max(beyond) == 0 or width == 390
    found = axe.run(page).response["violations"]
    assert [(x["id"], [node["html"] for node in x["nodes"]][:3]) for x in found] == []


def test_200_models_are_small_and_open_at_once(show: Open, tmp_path: Path) -> None:
    for run in range(3):
        (tmp_path / f"{run}.json").write_text(json.dumps(report(200, run)))
    path = tmp_path / "r.html"
    write_page(report(200, 3), path, read_history(tmp_path))
    assert path.stat().st_size < 5_000_000
    # Chromium took 0.8 to 1.0 s for it, and 1.2 to 1.7 s when it parsed all 230,000 nodes at once.
    page = show(path, idle=False)
    assert page.get_by_role("status").text_content() == "200 of 200 shown"
    assert page.evaluate("document.getElementsByTagName('*').length") < 10_000
    # What a browser does when it is idle, and printing does at once.
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.getElementsByTagName('*').length") > 100_000
    assert page.locator("noscript").count() == 0


def test_what_a_closed_model_shows_is_found_without_opening_it(show: Open, page_file: Path) -> None:
    page = show(page_file)
    page.locator("noscript").first.wait_for(state="detached", timeout=20_000)
    assert page.locator("details.model[open]").count() == 0
    assert page.locator("details.model h4").count() > 14


def test_a_browser_that_is_never_idle_shows_a_model_when_it_opens(
    show: Open, page_file: Path
) -> None:
    page = show(page_file, idle=False)
    assert page.locator("noscript").count() == 14
    page.locator("details[data-model=model-resnet50_1] summary").first.click()
    page.get_by_role("heading", name="Same outputs").wait_for(state="visible", timeout=5000)
    assert page.locator("noscript").count() == 13
