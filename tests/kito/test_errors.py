"""Helpers for messages."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from html_parts import parse

from kito.errors import counted, html_table, summarize


@pytest.mark.parametrize(
    "words, one, two",
    [
        (("model",), "1 model", "2 models"),
        (("directory", "directories"), "1 directory", "2 directories"),
        (
            ("pair of calls fits", "pairs of calls fit"),
            "1 pair of calls fits",
            "2 pairs of calls fit",
        ),
    ],
)
def test_a_number_with_its_noun(words: tuple[str, ...], one: str, two: str) -> None:
    assert counted(1, *words) == one
    assert counted(2, *words) == two
    assert counted(0, *words) == two.replace("2", "0")


def test_what_keras_adds_to_a_message_is_left_out() -> None:
    class Odd(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            raise ValueError("it is\nodd")

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    with pytest.raises(ValueError, match="Exception encountered") as caught:
        Odd()(np.ones((2, 3)))
    assert summarize(caught.value) == "ValueError: it is odd"


def test_a_table_for_a_notebook_shows_hostile_texts_as_text() -> None:
    hostile = "<script>alert('&amp;')</script>\u202e\n"
    parts = parse(html_table(hostile, [(hostile, "b"), (hostile, 2)], [hostile, "x", "y"], most=2))
    shown = "<script>alert('&amp;')</script>\\u202e\\n"
    assert parts.rows == [[shown, "b"], [shown, "2"]]
    assert parts.notes == [shown, "x", "and 1 more"]
    assert parts.caption == shown
    assert parts.tags == {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li"}
