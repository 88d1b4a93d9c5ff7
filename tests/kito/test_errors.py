"""Helpers for messages."""

from __future__ import annotations

import pytest

from kito.errors import counted


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
