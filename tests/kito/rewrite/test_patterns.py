"""Rewrites by kind, and what each kind saved."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from kito_models import randomize

from kito.rewrite.patterns import abbreviate, join, saving
from kito.rewrite.reduce import reduce

L = keras.layers


def found(model: Any, **options: Any) -> dict[tuple[str, str | None], Any]:
    """The patterns by what went where, which save exactly the parameters that are gone."""
    reduction = reduce(randomize(model), **options)
    saved = sum(x.parameters for x in reduction.patterns)
    assert saved == reduction.parameters[0] - reduction.parameters[1]
    assert sum(x.rewrites for x in reduction.patterns) == len(reduction.rewrites)
    return {(x.what, x.into): x for x in reduction.patterns}


def figures(pattern: Any) -> tuple[int, int | None, int]:
    return pattern.operations, pattern.multiplications, pattern.parameters


def test_a_normalization_costs_two_operations_and_its_bias_one() -> None:
    image = keras.Input((8, 8, 3))
    x = L.BatchNormalization(name="a")(L.Conv2D(4, 3, use_bias=False)(image))
    x = L.BatchNormalization(name="b")(L.Conv2D(5, 3)(L.ReLU()(x)))
    x = L.Dense(2)(L.BatchNormalization(name="c")(L.Softmax()(x)))
    patterns = found(keras.Model(image, x))
    before = patterns["BatchNormalization", "Conv2D before it"]
    assert before.layers == ("a", "b")
    assert figures(before) == (1 + 2, 6 * 6 * 4 + 4 * 4 * 5, 3 * 4 + 4 * 5)
    after = patterns["BatchNormalization", "Dense after it"]
    assert figures(after) == (2, 4 * 4 * 5, 4 * 5)
    assert after.title() == "BatchNormalization -> Dense after it: 1 layer (c)"
    assert after.saving() == "saves 2 operations, 80 multiplications, 20 parameters"


@pytest.mark.backends("tensorflow")
def test_every_pass_by_what_it_changed() -> None:
    image = keras.Input((9, 9, 4))
    x = L.Dropout(0.5, name="nothing")(image)
    x = L.Conv2D(8, 3, groups=4)(L.ZeroPadding2D(1)(x))
    x = L.ReLU()(x)
    x = L.Add()([L.Conv2D(6, 3, padding="same")(x), L.Conv2D(6, 1)(x)])
    x = L.Dense(3)(L.Dense(40, name="wide")(L.ReLU()(x)))
    patterns = found(keras.Model(image, x))
    assert {key: figures(x) for key, x in patterns.items()} == {
        ("Dropout", None): (0, 0, 0),
        ("ZeroPadding2D", "Conv2D after it"): (1, 0, 0),
        ("bias", "other biases"): (2, 0, 6 + 40),
        ("Conv2D + Add", "Conv2D before it"): (1, 81 * 48, 48),
        ("Dense", "Dense before it"): (0, 81 * (6 * 40 + 40 * 3 - 6 * 3), 6 * 40 + 40 * 3 - 6 * 3),
        ("Conv2D", "DepthwiseConv2D in its place"): (0, 0, 0),
    }
    assert patterns["Dropout", None].saving() == "saves no operation"


def test_open_sizes_are_unknown_only_where_they_matter() -> None:
    image = keras.Input((None, None, 3))
    x = L.ZeroPadding2D(1)(image)
    x = L.BatchNormalization()(L.Conv2D(4, 3)(x))
    patterns = found(keras.Model(image, x))
    assert patterns["ZeroPadding2D", "Conv2D after it"].multiplications == 0
    fold = patterns["BatchNormalization", "Conv2D before it"]
    assert fold.multiplications is None
    assert fold.saving().endswith("; multiplications unknown: a size is open")


def test_biases_and_what_is_only_precomputed() -> None:
    a, b = keras.Input((4,)), keras.Input((4,))
    x = L.Softmax()(L.Add()([L.Dense(3)(a), L.Dense(3)(b)]))
    x = L.Softmax()(L.BatchNormalization(name="stays")(x))
    patterns = found(keras.Model([a, b], x))
    assert figures(patterns["bias", "other biases"]) == (1, 0, 3)
    assert patterns["bias", "other biases"].title() == "bias -> other biases: 1 time"
    kept = patterns["what else it changes", None]
    assert (kept.layers, figures(kept), kept.rewrites) == (("stays",), (0, 0, 12), 0)


def test_a_sum_of_equal_terms_that_is_folded_in_its_turn() -> None:
    image = keras.Input((8, 8, 4))
    x = L.ReLU()(image)
    pools = [L.AveragePooling2D(2, name=name)(x) for name in ("p", "q")]
    patterns = found(keras.Model(image, L.Conv2D(3, 1)(L.Add()(pools))))
    assert figures(patterns["AveragePooling2D + Add", "affine in its place"]) == (2, 0, 0)
    assert patterns["affine", "Conv2D after it"].rewrites == 1


@pytest.mark.backends("tensorflow")
def test_what_a_pass_adds_is_told_apart() -> None:
    image = keras.Input((8, 8, 4))
    x = L.Conv2D(6, 3, groups=2, use_bias=False, name="grouped")(image)
    patterns = found(keras.Model(image, x), target="cpu")
    assert figures(patterns["Conv2D", "Concatenate in its place"]) == (-1, 36 * 9 * 2 * 6, 108)
    added = patterns["what it adds", None]
    assert added.layers == ("grouped_split", "grouped_0", "grouped_1")
    assert figures(added) == (-1, -36 * 9 * 2 * 6, -108)
    assert added.saving() == "adds 1 operation, 3,888 multiplications, 108 parameters"


def test_a_new_bias_counts_against_the_normalization_whose_shift_it_is() -> None:
    image = keras.Input((8, 8, 4))
    x = L.ReLU()(image)
    x = L.Conv2D(3, 1, use_bias=False)(L.Add()([x, x]))
    patterns = found(keras.Model(image, L.BatchNormalization()(x)))
    assert figures(patterns["BatchNormalization", "Conv2D before it"]) == (1, 8 * 8 * 3, 4 * 3 - 3)
    assert figures(patterns["affine", "Conv2D after it"]) == (0, 0, 0)


def test_what_is_kept_in_part_is_no_bias() -> None:
    a, b = keras.Input((4,)), keras.Input((4,))
    x = L.Add()([L.BatchNormalization(name="part")(L.Softmax()(a)), L.Softmax()(b)])
    x = L.Dense(2)(x)
    y = L.Softmax()(L.Add()([L.Dense(3)(a), L.Dense(3)(b)]))
    patterns = found(keras.Model([a, b], [x, y]))
    assert figures(patterns["bias", "other biases"]) == (1, 0, 3)
    kept = patterns["what else it changes", None]
    assert (kept.layers, figures(kept)) == (("part",), (1, 0, 16))


def test_a_model_called_twice_costs_twice() -> None:
    x = keras.Input((8,))
    inner = keras.Model(x, L.BatchNormalization()(L.Dense(8, use_bias=False)(x)))
    patterns = found(keras.Sequential([keras.Input((8,)), inner, L.Softmax(), inner]))
    [fold] = patterns.values()
    assert figures(fold) == (2, 16, 24)


def test_names_and_savings_in_words() -> None:
    assert abbreviate(["a", "b", "c"]) == "a, b, c"
    assert abbreviate(["a", "b", "c", "d\n" + "e" * 90]) == f"a .. d\\n{'e' * 47}..."
    x = keras.Input((8,))
    model = keras.Model(x, L.BatchNormalization()(L.Dense(8, use_bias=False)(x)))
    one = reduce(model).patterns
    [both] = join([*one, *one])
    assert both.layers == one[0].layers * 2
    assert saving([both]) == "saves 2 operations, 16 multiplications, 48 parameters"
