"""The HTML report as text: what stands in it, and that names stay text."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from html_reports import HOSTILE, report
from kito_results import plain_pass, results
from typer.testing import CliRunner

from kito.errors import KitoError
from pytest_kito.cli.app import app
from pytest_kito.reports.html import history, page, plots, ridges, scale, words
from pytest_kito.reports.json import report as json_report
from pytest_kito.reports.read import EquivalencePart, SpeedupPart


class Elements(HTMLParser):
    """The elements of a page, checked to be nested, and the texts of each kind."""

    VOID = ("meta", "input", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data


def test_a_page_holds_every_figure_and_loads_nothing() -> None:
    data = report(7, run=3)
    text = page.page(data)
    found = Elements(text)
    assert found.texts["h3"] == [model["name"] for model in data["models"]]
    for model in data["models"]:
        for artifact in model["artifacts"]:
            assert artifact["sha256"] in text
        for x in model["speedup"]:
            assert x["ratio"] is None or f"{x['ratio']:.2f}× as fast" in text
    assert "6 of 7 models passed" in found.texts["h1"][0]
    assert not {"img", "link", "iframe"} & set(found.names)
    loads = [value for name, value in found.attributes if name in ("src", "href")]
    assert all(value is not None and value.startswith("#") for value in loads)
    levels = [int(name[1]) for name in found.names if re.fullmatch("h[1-6]", name)]
    assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False))


def test_hostile_names_stay_text() -> None:
    data = report(1, name=HOSTILE)
    model = data["models"][0]
    model["source"] = model["checks"][0]["message"] = HOSTILE
    model["equivalence"]["outputs"] = {HOSTILE: model["equivalence"]["outputs"]["scores"]}
    model["reduction"]["kept"] = [{"layer": HOSTILE, "reason": HOSTILE}] * 2
    model["reduction"]["rewrites"] = [{"pass_name": HOSTILE, "layers": [HOSTILE], "into": HOSTILE}]
    model["artifacts"][0]["file"] = data["environment"]["cpu"] = HOSTILE
    data["created"] = data["origin"]["commit"] = HOSTILE
    data["missing"] = [HOSTILE, "<!--drawing 0-->"]
    text = page.page(data)
    found = Elements(text)
    assert found.names.count("script") == 1
    assert "img" not in found.names
    assert not any(name.startswith("on") for name, _ in found.attributes)
    assert not {"\u2028", "\u202e"} & set(text)
    assert found.texts["h3"] == [HOSTILE.replace("\u2028", r"\u2028").replace("\u202e", r"\u202e")]


def test_a_report_that_says_little_is_shown() -> None:
    least: dict[str, Any] = {"schema_version": 1, "created": "soon", "environment": None}
    text = page.page({**least, "passed": False, "models": [{"name": "lost"}]})
    assert "0 of 1 model passed" in text
    assert "not run" in text
    assert "0 of 0 models passed" in page.page({**least, "passed": False, "models": []})


def test_a_report_with_a_figure_of_another_type_is_refused() -> None:
    data = report(1)
    data["models"][0]["speedup"][0]["ratio"] = "fast"
    with pytest.raises(KitoError, match=r"cannot be shown as HTML: models\.0\.speedup\.0\.ratio"):
        page.page(data)


def test_the_results_of_a_session_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    page.write_page(json_report(results(*plain_pass("small"))), path)
    assert "1 of 1 model passed" in path.read_text(encoding="utf-8")


def test_drawings_are_left_out_where_the_page_would_be_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = iter((100, 40_000, 200))
    monkeypatch.setattr(page, "_drawing", lambda model: f"<svg>{'x' * next(sizes)}</svg>")
    data = report(3, rewrites=1)
    plain = len(page.page({**data, "models": []}))
    monkeypatch.setattr(page, "MOST_BYTES", plain + 80_000)
    text = page.page(data)
    assert text.count("<svg>xxx") == 2
    assert text.count("would make this page too large") == 1
    assert "<!--" not in text


def test_a_missing_extra_is_named_before_anything_is_built(
    repository: Callable[[str], pytest.Pytester],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *x: None if name == "jinja2" else find(name, *x)
    )
    folder = repository("{version: 1, models: {lost: {source: 'nets:broken'}}}")
    result = folder.runpytest_inprocess("--kito-check", "--kito-html=r.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--kito-html needs packages*'pytest-kito[[]report]'*"])
    done = CliRunner().invoke(app, ["merge", "none.json", "--html", str(tmp_path / "r.html")])
    assert "--html needs packages" in str(done.exception)


def test_a_session_writes_the_page_with_its_history(
    repository: Callable[[str], pytest.Pytester],
) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    past = folder.path / "past"
    past.mkdir()
    earlier = report(1, name="small")
    (past / "old.json").write_text(json.dumps(earlier))
    (past / "foreign.json").write_text("{}")
    arguments = ("--kito-html=r.html", "--kito-html-history=past", "--kito-report=past/new.json")
    result = folder.runpytest_inprocess("--kito-check", *arguments)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["skipped in the history: *foreign.json is not a report*"])
    text = (folder.path / "r.html").read_text(encoding="utf-8")
    assert earlier["origin"]["commit"][:9] in text
    assert "2 runs" in text
    assert "foreign.json" in text


def test_merged_shards_are_one_page(tmp_path: Path) -> None:
    data = report(2)
    paths = []
    for index, model in enumerate(data["models"]):
        paths.append(tmp_path / f"{index}.json")
        paths[-1].write_text(json.dumps({**data, "models": [model]}))
    html = tmp_path / "r.html"
    done = CliRunner().invoke(app, ["merge", *map(str, paths), "--html", str(html)])
    assert done.exit_code == 0
    assert "2 of 2 models passed" in html.read_text(encoding="utf-8")
    assert json.loads(done.stdout)["origin"] == data["origin"]
    done = CliRunner().invoke(app, ["merge", str(paths[0]), "--history", str(tmp_path)])
    assert "--history is for the HTML report" in str(done.exception)


def test_kito_bench_writes_a_page(
    repository: Callable[[str], pytest.Pytester], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository("")
    monkeypatch.chdir(folder.path)
    arguments = ["bench", "nets:net", "--batch-size=1", "--budget=0.2", "--html=r.html"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    text = (folder.path / "r.html").read_text(encoding="utf-8")
    assert "Keras, batch 1: " in text
    assert "Latency of one call" in text


# ---- history -----------------------------------------------------------------------------------


def test_a_history_has_the_runs_before_this_one_in_the_order_of_time(tmp_path: Path) -> None:
    for run in (4, 0, 2, 1):
        folder = tmp_path / f"of-{run}"
        folder.mkdir()
        (folder / "kito-report.json").write_text(json.dumps(report(2, run)))
    (tmp_path / "kito-manifest.json").write_text('{"files": []}')
    (tmp_path / "torn.json").write_text('{"schema_version": 1')
    found = history.read_history(tmp_path)
    assert sorted(Path(line.split(" is not ")[0]).name for line in found.warnings) == [
        "kito-manifest.json",
        "torn.json",
    ]
    # The report itself, run 2, lies there too, and so does a later one.
    typed = page._typed(report(2, 2))
    past = history.past(found, typed, typed.models[0])
    assert past is not None
    commits = [report(1, run)["origin"]["commit"][:9] for run in (2, 1, 0)]
    assert [row.commit for row in past.rows] == commits
    layers = next(line for line in past.lines if line.title == "Layers")
    assert (layers.first, layers.last) == ("154", "152")
    assert len(layers.dots.split("M")) == 1 + 3
    assert not any(line.title == "Parameters" for line in past.lines)  # they did not change
    new = page._typed(report(3, 2))
    assert history.past(found, new, new.models[2]) is None


def test_a_history_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KitoError, match="there is no folder"):
        history.read_history(tmp_path / "none")


# ---- scales and plots --------------------------------------------------------------------------


def test_places_are_in_the_order_of_the_values_and_inside() -> None:
    values = [1e-9, 3e-7, 1e-4, 0.2]
    for made in (scale.decades(values), scale.linear(values), scale.ratios([0.4, 1, 6])):
        places = [made.at(x) for x in values]
        assert places == sorted(places)
        assert all(0 <= place <= 100 for place in (*places, made.at(-1.0), made.at(1e9)))
        assert all(made.low <= tick <= made.high for tick in made.ticks())
        assert 2 <= len(made.ticks()) <= 7


@pytest.mark.parametrize("values", [[], [1.0], [0.0], [2.5, 2.5], [1e-300, 1e300]])
def test_every_scale_has_a_width(values: list[float]) -> None:
    for made in (scale.decades(values), scale.linear(values), scale.ratios(values)):
        assert made.high > made.low
        assert 0 <= made.at(1.0) <= 100
        made.ticks()


def test_the_minimum_and_the_noise_floor_lie_where_the_ratio_would() -> None:
    x = SpeedupPart(ratio=1.2, low=1.1, high=1.3, minimum=1.2, noise_floor=0.1, batch_size=8)
    drawn = plots.intervals([x, SpeedupPart(skipped="there is no GPU")])
    assert drawn is not None
    [row] = drawn.rows
    assert row.minimum == row.at
    assert row.noise is not None
    assert row.noise[1] == row.low
    assert row.noise[0] < drawn.one < row.noise[1]
    assert row.spoken.startswith("Keras, batch 8: 1.20× as fast, interval 1.10 to 1.30")


def test_the_faster_model_is_drawn_to_the_left() -> None:
    figures = report(1)["models"][0]["speedup"][0]
    drawn = ridges.latencies(SpeedupPart.model_validate(figures))
    assert drawn is not None
    original, reduced = drawn.ridges
    assert reduced.median < original.median
    assert drawn.beyond.startswith("slowest call: ")
    assert ridges.latencies(SpeedupPart(ratio=1.2)) is None


def test_a_difference_beyond_the_tolerance_lies_right_of_it() -> None:
    output = {"scale": 2.0, "rtol": 1e-4, "atol": 0.0}
    outputs = {
        "far": {**output, "max_abs": 4e-3, "mean_abs": 1e-5},
        "near": {**output, "max_abs": 2e-6, "mean_abs": 0.0},
        "same": {**output, "max_abs": 0.0},
        "unknown": {**output, "max_abs": None},
    }
    drawn = plots.differences(EquivalencePart.model_validate({"outputs": outputs}))
    assert drawn is not None
    far, near, same = drawn.rows
    assert far.tolerance is not None
    assert same.at < near.at < far.tolerance < far.at
    assert (far.exceeds, near.exceeds, same.exceeds) == (True, False, False)
    assert (far.exact, same.exact) == (False, True)
    assert far.text == "2.0e-3"


def test_figures_are_short() -> None:
    assert words.scientific(1.24e-7) == "1.2e-7"
    assert [words.size(x) for x in (900, 14_213_312)] == ["900 bytes", "14.2 MB"]
    assert [words.short(x) for x in (127, 1000, 3_500_000)] == ["127", "1.00k", "3.50M"]
    assert [words.percent(x) for x in (0.0, 1e-6, 0.0312, 2.0)] == [
        *("0 %", "< 0.01 %", "3.1 %", "200 %"),
    ]
    assert [words.power(x) for x in (1e-12, 1.0, 10.0, 100.0)] == ["10⁻¹²", "1", "10", "10²"]
    assert words.moment("2026-11-26T08:00:00+00:00") == "2026-11-26 08:00 UTC"
