"""What ``kito explain`` shows: grouped, plain when piped, drawn on a terminal, names as text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from io import StringIO

import keras
import pytest
from kito_models import randomize
from rich.console import Console

from kito.rewrite.reduce import reduce
from pytest_kito.cli import progress
from pytest_kito.cli.answers import answer
from pytest_kito.cli.explanation import explain_reduction, group_reasons
from pytest_kito.cli.progress import working
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
        x = L.BatchNormalization(name=f"folded_{i}")(L.Dense(4, name=f"dense_{i}")(x))
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
    x = image = keras.Input((4,))
    for i, name in enumerate("abcdefghij"):
        x = L.Activation(getattr(keras.activations, ("tanh", "softmax")[i % 2]))(x)
        x = L.BatchNormalization(name=name)(x)
    reduction = reduce(randomize(keras.Model(image, x)))
    kept = [f"{x.layer}: {x.reason}" for x in reduction.kept]
    assert len(kept) == 10


PAGE = Page(
    "two\nlines \x1b[31m",
    [("", "before", "after"), ("[red]name[/red]\x1b", "1,000", "20")],
    [Branch("::error::x", [Branch("[bold]below\nit", style="green")])],
)


def test_a_page_in_plain_text_keeps_each_text_on_its_line() -> None:
    assert PAGE.plain().splitlines() == [
        "two\\nlines \\x1b[31m",
        "                       before   after",
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


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard output and error are a terminal; what is written there can be read from it."""
    master, slave = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        yield master
    os.close(master)


def read(master: int) -> str:
    sys.stdout.flush()
    return os.read(master, 100_000).decode()


def test_pages_are_drawn_on_a_terminal_only(
    terminal: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer({}, PAGE, as_json=False)
    assert "└── " in read(terminal)
    monkeypatch.setenv("TERM", "dumb")
    answer({}, PAGE, as_json=False)
    dumb = read(terminal)
    assert "└── " not in dumb
    assert ": :error::x" in dumb
    assert "\x1b" not in dumb


class TestProgress:
    def test_says_what_is_done_and_is_erased(
        self, terminal: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "AFTER_S", 0.0)
        with working() as shown:
            shown.on("loading [red]x\x1b[31m")
            shown._timer.join()  # type: ignore[attr-defined]
            shown.pairs(3)
        text = read(terminal)
        assert "loading [red]x\\x1b[31m ..." in text
        assert "3 pairs" not in text, "nothing is timed yet"
        assert text.endswith("\x1b[2K"), "the line is erased"

    def test_stands_still_while_calls_are_timed(self, terminal: int) -> None:
        with working() as shown:
            shown.measuring()
            assert not shown._timer.is_alive()  # type: ignore[attr-defined]
            shown.pairs(1)
            shown.pairs(2)  # too soon after the first
        assert read(terminal) == "\r\x1b[Kmeasuring: 1 pair ...\r\x1b[K"

    def test_shows_nothing_where_it_is_piped(self, capsys: pytest.CaptureFixture[str]) -> None:
        with working() as shown:
            shown.on("loading")
            shown.measuring()
            shown.pairs(3)
        assert capsys.readouterr() == ("", "")
