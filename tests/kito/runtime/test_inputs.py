"""Inputs: random, given, checked, and cut into batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kito.errors import KitoError
from kito.runtime.batch import batches, call_arguments, samples_at_once
from kito.runtime.inputs import resolve_inputs
from kito.runtime.pair import renamed_inputs
from kito.runtime.random_inputs import random_inputs
from kito.runtime.run import to_numpy

L = keras.layers


def two() -> Any:
    image = keras.Input((4, 4, 3), name="image")
    words = keras.Input((5,), dtype="int32", name="words")
    flat = L.Flatten()(image)
    return keras.Model(
        [image, words], L.Concatenate()([flat, L.Flatten()(L.Embedding(7, 2)(words))])
    )


def test_random_inputs_follow_the_specs() -> None:
    fed = random_inputs(two(), samples=200, low=-2.0, high=3.0)
    assert list(fed) == ["image", "words"]
    assert fed["image"].shape == (200, 4, 4, 3)
    assert fed["image"].dtype == np.float32
    assert -2 <= fed["image"].min() < -1.9
    assert 2.9 < fed["image"].max() < 3
    assert fed["words"].dtype == np.int32
    assert set(fed["words"].ravel()) == set(range(7))  # what the Embedding knows


def test_an_input_of_two_embeddings_fits_both() -> None:
    ids = keras.Input((5,), dtype="int32", name="ids")
    model = keras.Model(ids, L.Add()([L.Embedding(7, 2)(ids), L.Embedding(3, 2)(ids)]))
    assert set(random_inputs(model)["ids"].ravel()) == {0, 1, 2}


def test_the_seed_decides() -> None:
    first, same, other = (random_inputs(two(), seed=seed)["image"] for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_booleans_and_fixed_batches() -> None:
    flag = keras.Input((3,), dtype="bool", batch_size=4, name="flag")
    fed = random_inputs(keras.Model(flag, keras.ops.cast(flag, "float32")), samples=10)
    assert fed["flag"].dtype == bool
    assert len(fed["flag"]) == 12  # whole batches of 4
    assert 0 < fed["flag"].mean() < 1


def test_open_sizes_have_to_be_given() -> None:
    image = keras.Input((None, None, 3), name="image")
    model = keras.Model(image, L.Conv2D(2, 3)(image))
    with pytest.raises(KitoError, match=r"input 'image' has open sizes.*inputs.shape"):
        random_inputs(model)
    fed = random_inputs(model, samples=2, shape={"image": [8, 9, 3]})
    assert fed["image"].shape == (2, 8, 9, 3)
    with pytest.raises(KitoError, match=r"\[8, 9, 4\], the model takes \[None, None, 3\]"):
        random_inputs(model, shape={"image": [8, 9, 4]})
    with pytest.raises(KitoError, match=r"\['photo'\]; the model's inputs are \['image'\]"):
        random_inputs(model, shape={"photo": [8, 9, 3]})


def test_strings_cannot_be_made_up() -> None:
    text = keras.Input((1,), dtype="string", name="text")
    with pytest.raises(KitoError, match=r"'text' holds strings: give data"):
        random_inputs(keras.Model(text, text))


def one() -> Any:
    x = keras.Input((2,), name="x")
    return keras.Model(x, L.Dense(1)(x))


def test_whatever_is_given_is_taken(tmp_path: Path) -> None:
    values = np.arange(6, dtype="float64").reshape(3, 2)
    np.savez(tmp_path / "named.npz", x=values)
    np.savez(tmp_path / "single.npz", values)
    given = [
        values,
        values.tolist(),
        {"x": values},
        lambda: values,
        tmp_path / "named.npz",
        str(tmp_path / "single.npz"),
    ]
    for inputs in given:
        fed = resolve_inputs(one(), inputs)
        assert fed["x"].dtype == np.float32
        assert np.array_equal(fed["x"], values)
    pair = [np.zeros((2, 4, 4, 3)), np.zeros((2, 5), "int64")]
    assert resolve_inputs(two(), pair)["words"].dtype == np.int32


@pytest.mark.parametrize(
    "inputs, message",
    [
        (np.zeros((3, 3)), r"input 'x' has shape \(3, 3\), the model takes \(None, 2\)"),
        ({"x": np.zeros((3, 2)), "y": 1}, r"missing \[\], unknown \['y'\]"),
        (np.full((3, 2), np.nan), "input 'x' holds NaN or infinity"),
        (np.array([["a", "b"]]), "input 'x' is of dtype <U1, the model takes float32"),
        ([[1, 2], [3]], "input 'x' is not an array"),
        (np.zeros((0, 2)), "hold no samples"),
        (np.full((3, 2), 1e300), "input 'x' holds values beyond the range of float32"),
        (lambda: None, "returned None"),
        (lambda: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_what_does_not_fit_is_refused(inputs: Any, message: str) -> None:
    with pytest.raises(KitoError, match=message):
        resolve_inputs(one(), inputs)


@pytest.mark.parametrize(
    "inputs, message",
    [
        ([np.zeros((2, 4, 4, 3))], r"1 input given, the model takes 2: \['image', 'words'\]"),
        ([np.zeros((2, 4, 4, 3)), np.zeros((3, 5), int)], "differ in the number of samples"),
        ([np.zeros((2, 4, 4, 3)), np.full((2, 5), 0.5)], "'words' is of dtype float64"),
        ([np.zeros((2, 4, 4, 3)), np.full((2, 5), 2**40)], "'words' holds values that int32"),
    ],
)
def test_what_does_not_fit_two_inputs(inputs: Any, message: str) -> None:
    with pytest.raises(KitoError, match=message):
        resolve_inputs(two(), inputs)


def nest() -> Any:
    a, b, c = (keras.Input((2,), name=name, optional=name == "c") for name in "abc")
    return keras.Model({"pair": (a, [b]), "more": {"c": c}}, L.Add()([a, b]))


def test_the_structure_that_the_model_is_called_with() -> None:
    a, b, c = (np.full((3, 2), value, "float32") for value in (1, 2, 3))
    for given in (
        {"pair": (a, [b]), "more": {"c": c}},
        {"more": {"c": c}, "pair": [a, (b,)]},  # a list for a tuple, and the reverse
        {"c": c, "b": b, "a": a},
    ):
        fed = resolve_inputs(nest(), given)
        assert {name: values[0, 0] for name, values in fed.items()} == {"a": 1, "b": 2, "c": 3}
    for given in ({"pair": (a, [b])}, {"pair": (a, [b]), "more": {"c": None}}):
        assert set(resolve_inputs(nest(), given)) == {"a", "b"}
    for wrong in ({"pair": (a, [b, c])}, {"pair": (a, b)}, {"pair": (a, [b]), "other": c}):
        with pytest.raises(KitoError, match="inputs are named"):
            resolve_inputs(nest(), wrong)
    with pytest.raises(KitoError, match=r"missing \['b'\]"):
        resolve_inputs(nest(), {"pair": (a, None)})


@pytest.mark.backends("tensorflow")
def test_strings_are_given_as_data() -> None:
    words = keras.Input((1,), dtype="string", name="words")
    model = keras.Model(words, L.StringLookup(vocabulary=["a"])(words))
    for given in (["a", "b"], [["a"], ["b"]], np.array([["a"], ["b"]], object)):
        fed = resolve_inputs(model, {"words": given})
        assert to_numpy(model(call_arguments(model, fed))).tolist() == [[1], [0]]
    with pytest.raises(KitoError, match="'words' is of dtype float64, the model takes strings"):
        resolve_inputs(model, np.zeros((2, 1)))


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    np.save(tmp_path / "plain.npy", np.zeros((2, 2)))
    for name, message in [
        ("missing.npz", "there is no file"),
        ("text.npz", "is not an .npz file"),
        ("pickled.npz", "is not an .npz file"),
        ("plain.npy", "is a .npy file"),
    ]:
        with pytest.raises(KitoError, match=message):
            resolve_inputs(one(), tmp_path / name)


def test_batches_end_with_what_is_left() -> None:
    parts = list(batches({"x": np.arange(7)}, 3))
    assert [part["x"].tolist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6]]


def test_call_arguments_have_the_models_structure() -> None:
    a, b = keras.Input((1,), name="a"), keras.Input((1,), name="b")
    y = L.Add()([a, b])
    batch = {"a": np.zeros((2, 1)), "b": np.ones((2, 1))}
    assert list(call_arguments(keras.Model([a, b], y), batch)[1]) == [1, 1]
    assert call_arguments(keras.Model({"b": b, "a": a}, y), batch)["b"][0] == 1
    plain = keras.Sequential([keras.Input((1,), name="a"), L.Dense(1)])
    assert call_arguments(plain, {"a": batch["a"]}) is batch["a"]
    with pytest.raises(KitoError, match=r"takes the inputs \['a'\], the batch has \['b'\]"):
        call_arguments(plain, {"b": batch["b"]})


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"seed": -1}, {"low": 2.0}, {"high": np.inf}])
def test_random_inputs_have_sensible_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(KitoError, match="random inputs take samples >= 1"):
        random_inputs(one(), **wrong)


def test_bytes_are_those_of_an_image_and_booleans_are_two() -> None:
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    assert random_inputs(keras.Model(image, L.Rescaling(1 / 255)(image)))["image"].max() > 200
    flag = keras.Input((2,), dtype="bool", name="flag")
    model = keras.Model(flag, keras.ops.cast(flag, "float32"))
    assert resolve_inputs(model, [[0, 1], [1, 1]])["flag"].all(axis=1).tolist() == [False, True]
    with pytest.raises(KitoError, match="'flag' holds values that bool cannot hold"):
        resolve_inputs(model, np.array([[0, 7]]))


@keras.saving.register_keras_serializable("tests")
class AddIfGiven(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any, y: Any = None) -> Any:
        return x if y is None else x + y

    def compute_output_shape(self, x_shape: Any, y_shape: Any = None) -> Any:
        return x_shape


def test_optional_inputs_may_be_left_out() -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b", optional=True)
    model = keras.Model([a, b], AddIfGiven()(a, b))
    values = np.ones((3, 2))
    for given, expected in [({"a": values}, 1), ([values, None], 1), ([values, values], 2)]:
        fed = resolve_inputs(model, given)
        assert np.all(to_numpy(model(call_arguments(model, fed))) == expected)
    assert list(random_inputs(model)) == ["a", "b"]
    with pytest.raises(KitoError, match=r"missing \['a'\]"):
        resolve_inputs(model, {"b": values})


def test_another_models_names() -> None:
    fed = random_inputs(two(), samples=2)
    assert renamed_inputs(fed, two(), two()) is fed
    image, words = keras.Input((4, 4, 3), name="i"), keras.Input((5,), dtype="int32", name="w")
    assert renamed_inputs(fed, two(), keras.Model([image, words], image))["w"] is fed["words"]
    with pytest.raises(KitoError, match=r"takes the inputs \['image', 'words'\].* takes \['i'\]"):
        renamed_inputs(fed, two(), keras.Model(image, image))


def test_fewer_large_samples_at_once() -> None:
    assert samples_at_once({"x": np.zeros((1, 16))}, 32) == 32
    assert samples_at_once({"x": np.zeros((1, 224, 224, 3))}, 32) == 8
    assert samples_at_once({"x": np.zeros((1, 224, 224, 3))}, 4) == 4
