"""A model on any number of samples: what goes in, what comes out, in which batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest

from kito.errors import KitoError
from kito.runtime.engine import LoadedFile
from kito.runtime.predict import Predictor


def model(structure: str = "one") -> keras.Model:
    image, scale = keras.Input((4,), name="image"), keras.Input((1,), name="scale")
    double = keras.layers.Rescaling(2.0, name="double")(image)
    product = keras.layers.Multiply(name="product")([image, scale])
    outputs = {
        "one": product,
        "list": [product, double],
        "dict": {"product": product, "double": double},
    }
    return keras.Model([image, scale], outputs[structure], name="net")


def samples(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(count)
    return {"image": rng.normal(size=(count, 4)), "scale": rng.normal(size=(count, 1))}


def engine(returns: Any, sizes: list[int] | None = None) -> LoadedFile:
    """A file whose engine returns what the function makes of each batch."""

    def run(batch: Mapping[str, np.ndarray]) -> Any:
        if sizes is not None:
            sizes.append(len(batch["image"]))
        return returns(batch["image"])

    return LoadedFile("net.onnx", run)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700])
def test_any_number_of_samples_in_batches_of_a_bounded_size(count: int) -> None:
    sizes: list[int] = []
    given = samples(count)
    found = Predictor(engine(lambda image: 2 * image, sizes), model())(given)
    np.testing.assert_array_equal(found, 2 * given["image"].astype("float32"))
    assert sum(sizes) == count
    assert max(sizes) <= 256


def test_large_inputs_are_run_a_few_at_a_time() -> None:
    image = keras.Input((500, 500, 1), name="image")
    large = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    sizes: list[int] = []
    Predictor(engine(lambda x: x, sizes), large)(np.zeros((20, 500, 500, 1)))
    assert sizes == [8, 8, 4]


@pytest.mark.parametrize("structure", ["one", "list", "dict"])
def test_a_file_returns_the_structure_of_the_original(structure: str) -> None:
    original, given = model(structure), samples(3)
    image = given["image"].astype("float32")
    product = image * given["scale"].astype("float32")
    packed = {"one": product, "list": [product, 2 * image]}
    packed["dict"] = {"product": product, "double": 2 * image}
    file = engine(lambda _: packed[structure])
    for run in (Predictor(original, original), Predictor(file, original)):
        found = run(given)
        assert type(found) is type(packed[structure])
        keras.tree.assert_same_structure(found, packed[structure])
        expected = keras.tree.flatten(packed[structure])
        for a, b in zip(keras.tree.flatten(found), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
            a[:] = 0  # it belongs to the caller


@pytest.mark.parametrize(
    "structure",
    [lambda x: x, lambda x: [x], lambda x: {"z": x, "a": [x, x]}, lambda x: (x, x)],
    ids=["one", "list of one", "nested", "tuple"],
)
def test_the_structure_is_that_of_a_call(structure: Callable[[Any], Any]) -> None:
    image = keras.Input((4,), name="image")
    original = keras.Model(image, structure(keras.layers.Rescaling(2.0)(image)))
    batch = np.ones((2, 4), "float32")
    keras.tree.assert_same_structure(Predictor(original, original)(batch), original(batch))


def test_one_input_takes_one_array_of_any_numbers() -> None:
    image = keras.Input((4,), name="image")
    single = keras.Model(image, keras.layers.Rescaling(1 / 255)(image))
    given = np.arange(8, dtype="uint8").reshape(2, 4)
    run = Predictor(single, single)
    for batch in (given, {"image": given}, keras.ops.convert_to_tensor(given)):
        np.testing.assert_allclose(run(batch), given / 255, rtol=1e-6)
    assert run.calls == 3


@pytest.mark.parametrize(
    "batch, says",
    [
        (None, "predict takes an array or a dict of arrays by input name, not None"),
        ("test.npz", "not an object of type str"),
        (len, "not an object of type builtin_function_or_method"),
        ({"image": np.zeros((2, 4))}, "missing .'scale'."),
        ({"image": np.zeros((2, 5)), "scale": np.zeros((2, 1))}, "has shape .2, 5."),
        ({"image": np.zeros((0, 4)), "scale": np.zeros((0, 1))}, "no samples"),
    ],
)
def test_a_batch_that_does_not_fit(batch: Any, says: str) -> None:
    with pytest.raises(KitoError, match=says):
        Predictor(model(), model())(batch)


def test_outputs_without_an_axis_of_samples_are_refused() -> None:
    run = Predictor(engine(lambda image: image.mean(axis=0)), model())
    with pytest.raises(KitoError, match=r"shapes \[\(4,\)\] for 3 samples.*first axis"):
        run(samples(3))


def test_outputs_whose_shape_varies_with_the_batch_cannot_be_joined() -> None:
    run = Predictor(engine(lambda image: np.zeros((len(image), len(image)))), model())
    assert run(samples(3)).shape == (3, 3)
    with pytest.raises(KitoError, match=r"cannot be joined.* at most 256 samples"):
        run(samples(300))


def test_checksums_tell_other_inputs_from_other_outputs() -> None:
    factors = iter((1.0, 1.0, 2.0))
    original = model()

    def sums(count: int, file: LoadedFile) -> tuple[int, int]:
        run = Predictor(file, original)
        run(samples(count))
        return run.fed, run.returned

    file = engine(lambda image: next(factors) * image)
    first = sums(3, file)
    assert sums(3, file) == first
    again = sums(3, file)
    assert again[0] == first[0]
    assert again[1] != first[1]
    assert sums(4, engine(lambda image: image))[0] != first[0]
