"""What models are fed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kito.errors import KitoError
from kito.inputs import batches, call_arguments, random_inputs, resolve_inputs

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
        ([[1, 2], [3]], "input 'x' is no array"),
        (np.zeros((0, 2)), "hold no samples"),
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
        ([np.zeros((2, 4, 4, 3))], r"1 inputs given, the model takes 2: \['image', 'words'\]"),
        ([np.zeros((2, 4, 4, 3)), np.zeros((3, 5), int)], "differ in the number of samples"),
        ([np.zeros((2, 4, 4, 3)), np.full((2, 5), 0.5)], "'words' is of dtype float64"),
        ([np.zeros((2, 4, 4, 3)), np.full((2, 5), 2**40)], "'words' holds values that int32"),
    ],
)
def test_what_does_not_fit_two_inputs(inputs: Any, message: str) -> None:
    with pytest.raises(KitoError, match=message):
        resolve_inputs(two(), inputs)


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    np.save(tmp_path / "plain.npy", np.zeros((2, 2)))
    for name, message in [
        ("missing.npz", "there is no file"),
        ("text.npz", "is no .npz file"),
        ("pickled.npz", "is no .npz file"),
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
