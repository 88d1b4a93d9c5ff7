"""What ``kito explain`` shows: grouped, plain when piped, drawn on a terminal, names as text."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from io import StringIO

import keras
import pytest
from kito_models import randomize
from rich.console import Console

from kito.rewrite.outcome import Kept
from kito.rewrite.reduce import reduce
from pytest_kito.cli import progress
from pytest_kito.cli.answers import answer
from pytest_kito.cli.explanation import explain_reduction, group_reasons
from pytest_kito.cli.progress import Shown, working
from pytest_kito.cli.tree import Branch, Page

L = keras.layers


def test_reasons_that_differ_in_names_and_numbers_are_one() -> None:
    kinds = {"a": "Norm", "b": "Norm", "c": "Norm", "d": "Norm", "act_1": "ReLU", "act_2": "ReLU"}
    kinds |= {"conv_1": "Conv2D", "conv_2": "Conv2D", "sum_1": "Add", "sum_2": "Add"}

    def reason(i: int) -> str:
        return (
            f"its shift went into {', '.join(f'conv_{j}' for j in range(1, i + 1))}; the result "
            f"of 'sum_{i}' is used 2 times: 'sum_{i}', 'act_{i}'; 'act_{i}' (ReLU) takes 'relu'; "
            f"the scale passes only where it is positive: {i} of 64 channels are not"
        )

    lines = group_reasons(
        [("d", "it is 'odd'"), ("a", reason(1)), ("b", reason(2)), ("x", "it is 'odd'")], kinds
    )
    assert lines == [
        "2 Norm layers (a, b): its shift went into Conv2D; the result of Add is used .. times: "
        "Add, ReLU; ReLU takes 'relu'; the scale passes only where it is positive: .. of .. "
        "channels are not",
        "d: it is 'odd'",
        "x: it is 'odd'",
    ]
    same = [(name, "3 of 4 Conv2D channels") for name in "abcd"]
    assert group_reasons(same, kinds) == ["4 Norm layers (a .. d): 3 of 4 Conv2D channels"]


def test_a_deep_model_fits_a_screen_and_all_has_a_line_for_every_layer() -> None:
    x = image = keras.Input((4,))
    for i in range(30):
        x = L.Softmax(name=f"max_{i}")(L.BatchNormalization(name=f"bn_{i}")(x))
        x = L.Dense(4, name=f"dense_{i}")(L.Softmax()(x))
        x = L.Softmax()(L.BatchNormalization(name=f"folded_{i}")(x))
    reduction = reduce(randomize(keras.Model(image, x, name="deep")))
    short = explain_reduction(reduction, every=False, more=["the end"]).plain().splitlines()
    assert short[0].startswith("deep: reduced in ")
    assert short[-1] == "the end"
    assert len(short) < 25
    assert any("BatchNormalization -> Dense before it: 30 layers (folded_0 .." in x for x in short)
    assert any("BatchNormalization layers (bn_1 .. bn_29): " in x for x in short)
    long = explain_reduction(reduction, every=True).plain()
    assert all(f"\n  folded_{i} -> dense_{i}\n" in long for i in range(30))
    assert all(f"\n  bn_{i}: " in long for i in range(30))


def test_more_kinds_than_fit_are_counted() -> None:
    image = keras.Input((4,))
    reduction = reduce(keras.Model(image, L.Dense(2)(image)))
    kept = tuple(Kept(letter, f"it is like {letter}") for letter in "abcdefghijkl")
    reduction = replace(reduction, kept=kept)
    lines = explain_reduction(reduction, every=False).plain().splitlines()
    assert lines[-2:] == ["  h: it is like h", "  and 4 more kinds: --all lists every layer"]
    assert explain_reduction(reduction, every=True).plain().endswith("\n  l: it is like l")


PAGE = Page(
    "two\nlines \x1b[31m",
    [("", "before", "after"), ("[red]name[/red]\x1b", "1,000", "20")],
    [Branch("::error::x", [Branch("[bold]below\nit", style="green")])],
)


def test_a_page_in_plain_text_keeps_each_text_on_its_line() -> None:
    assert PAGE.plain().splitlines() == [
        "two\\nlines \\x1b[31m",
        "                        before   after",
        "  [red]name[/red]\\x1b    1,000      20",
        "::error::x",
        "  [bold]below\\nit",
    ]


def test_a_page_on_a_terminal_shows_markup_as_text() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=60, color_system="standard")
    console.print(PAGE.drawn())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]name[/red]\\x1b" in text
    assert "└── \x1b[32m[bold]below\\nit" in text
    assert "\x1b[31m" not in text


class Terminal:
    """In the block, standard output and error are a terminal."""

    def __enter__(self) -> Terminal:
        self._master, slave = os.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv("TERM", "xterm")
        self._patch.delenv("NO_COLOR", raising=False)
        # Pytest puts its own streams here between a fixture and its test.
        self._patch.setattr(sys, "stdout", self.stream)
        self._patch.setattr(sys, "stderr", self.stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        self.stream.close()
        os.close(self._master)

    def read(self) -> str:
        """What was written since the last look; a terminal hands it over in parts, and later."""
        self.stream.write("<end>")
        self.stream.flush()
        text = b""
        while not text.endswith(b"<end>"):
            text += os.read(self._master, 100_000)
        return text.decode().removesuffix("<end>")


def test_pages_are_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with Terminal() as terminal:
        answer({}, PAGE, as_json=False)
        assert "└── " in terminal.read()
        monkeypatch.setenv("TERM", "dumb")
        answer({}, PAGE, as_json=False)
        dumb = terminal.read()
    assert "└── " not in dumb
    assert ": :error::x" in dumb
    assert "\x1b" not in dumb


def test_a_table_stands_above_a_text_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("", "median"), ("original", "2 ms")]
    with Terminal() as terminal:
        answer({}, "[b]twice[/b]\n::as fast", as_json=False, rows=rows)
        drawn = [line.rstrip() for line in terminal.read().splitlines()]
    assert "│ original │   2 ms │" in drawn
    assert drawn[-2:] == ["[b]twice[/b]", "::as fast"]
    answer({}, "twice\n::as fast", as_json=False, rows=rows)
    assert capsys.readouterr().out == "twice\n: :as fast\n"


class TestProgress:
    def test_says_what_is_done_and_is_erased(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "AFTER_S", 0.0)
        with Terminal() as terminal:
            with working() as shown:
                assert isinstance(shown, Shown)
                shown.on("loading [red]x\x1b[31m")
                shown.pairs(3)
                shown.timer.join()
                streams = sys.stdout, sys.stderr
                assert streams == (terminal.stream, terminal.stream), "a source may redirect them"
            text = terminal.read()
        assert "loading [red]x\\x1b[31m ..." in text
        assert "3 pairs" not in text, "nothing is timed yet"
        assert text.endswith("\x1b[2K"), "the line is erased"

    def test_stands_still_while_calls_are_timed(self) -> None:
        with Terminal() as terminal:
            with working() as shown:
                assert isinstance(shown, Shown)
                shown.measuring()
                assert not shown.timer.is_alive()
                shown.pairs(1)
                shown.pairs(2)  # too soon after the first
            assert terminal.read() == "\r\x1b[Kmeasuring: 1 pair ...\r\x1b[K"

    def test_shows_nothing_where_it_is_piped(self, capsys: pytest.CaptureFixture[str]) -> None:
        with working() as shown:
            shown.on("loading")
            shown.measuring()
            shown.pairs(3)
        assert capsys.readouterr() == ("", "")
