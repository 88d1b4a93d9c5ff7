"""Are two models' outputs the same, and could the comparison have failed?"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import kito
from kito.equivalence.compare import compare, compare_with
from kito.equivalence.criteria import Criteria
from kito.equivalence.largest_difference import compare_two_models_results
from kito.runtime.random_inputs import random_inputs
from kito.runtime.random_weights import randomize_weights

L = keras.layers


def softmax(classes: int = 1000, factor: float = 1.0, seed: int = 0, depth: int = 1) -> Any:
    """A classifier; ``factor`` scales the bias of its last layer, and so makes it another one."""
    rng = np.random.default_rng(seed)
    x = image = keras.Input((16,), name="image")
    for i in range(depth):
        x = L.Dense(32, activation="relu", name=f"hidden_{i}")(x)
    x = L.Dense(classes, name="logits")(x)
    model = keras.Model(image, L.Softmax(name="scores")(x), name="softmax")
    for layer in model.layers:
        layer.set_weights([rng.normal(0, 0.4, w.shape) for w in layer.get_weights()])
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel, bias * factor])
    return model


def test_the_same_model_passes_with_its_figures() -> None:
    found = compare(softmax(), softmax(), samples=20)
    assert found.passed
    assert found.samples == 20
    assert found.reason == ""
    scores = found.outputs["scores"]
    assert scores.max_abs == scores.required_rtol == 0
    assert scores.spread > 0.05 * scores.scale
    assert scores.rtol == 1e-4
    assert "the same" in found.message()


def test_a_ten_percent_error_on_a_softmax_of_many_classes_fails() -> None:
    # The largest difference is below 1e-3: an absolute 1e-3 would not have seen it.
    found = compare(softmax(), softmax(factor=1.1))
    assert not found.passed
    assert not found.within_rounding
    assert found.outputs["scores"].max_abs < 1e-2
    assert found.error_vs_float64 is not None
    assert found.error_vs_float64[1] > 100 * found.error_vs_float64[0]
    assert found.first_departure == "logits"
    assert "the first layer whose output departs is 'logits'" in found.message()


def test_required_rtol_is_what_would_have_passed() -> None:
    original, other = softmax(), softmax(factor=1.01)
    needed = compare(original, other).outputs["scores"].required_rtol
    assert compare(original, other, rtol=needed * 1.001, atol=0.0).outputs["scores"].passed
    assert not compare(original, other, rtol=needed * 0.999).passed


def test_rounding_is_not_wrongness() -> None:
    """A model that is off by rounding passes the default tolerance, but no tolerance written."""
    original = softmax(depth=3)
    reduced = softmax(depth=3)
    for layer in reduced.layers:  # the same function: scaled here, unscaled there
        if layer.name == "hidden_1":
            layer.set_weights([w * np.float32(1.0 / 3.0) for w in layer.get_weights()])
        if layer.name == "hidden_2":
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * np.float32(3.0), bias])
    fed = np.random.default_rng(0).random((16, 16), "float32")
    strict = compare(original, reduced, fed, rtol=0.0)
    assert not strict.passed
    assert strict.error_vs_float64 is None
    truth = compare(original, reduced, fed, reference="float64")
    assert truth.passed
    assert truth.error_vs_float64 is not None
    assert truth.error_vs_float64[0] < 1e-5


def test_past_the_default_tolerance_float64_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kito.equivalence.compare.RTOL", 1e-9)
    original, reduced = softmax(depth=2), kito.reduce(softmax(depth=2)).model
    kernel, bias = reduced.get_layer("hidden_0").get_weights()
    nudged = [np.nextafter(kernel, np.float32(9)), bias]
    reduced.get_layer("hidden_0").set_weights(nudged)
    found = compare(original, reduced)
    assert found.within_rounding == found.passed
    assert found.error_vs_float64 is not None
    wrong = compare(original, softmax(depth=2, factor=1.01))
    assert not wrong.passed
    assert "against the original in float64" in wrong.reason


def test_outputs_that_hardly_vary_are_insensitive() -> None:
    model = softmax()
    for layer in model.layers[:-1]:
        layer.set_weights([w * 1e-4 for w in layer.get_weights()])
    found = compare(model, model)
    assert found.insensitive
    assert not found.passed
    assert "weights: random" in found.reason


def test_tolerances_of_single_outputs_are_strict() -> None:
    image = keras.Input((4,), name="image")
    outputs = [L.Dense(3, name="a")(image), L.Dense(2, name="b")(image)]
    model = keras.Model(image, outputs)
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    kernel, bias = other.get_layer("b").get_weights()
    other.get_layer("b").set_weights([kernel, bias + 1e-3])
    assert not compare(model, other).passed
    assert compare(model, other, outputs={"b": (None, 2e-3)}).passed
    assert not compare(model, other, outputs={"a": (None, 2e-3)}).passed
    with pytest.raises(kito.KitoError, match=r"\['c'\].*no such output.*\['a', 'b'\]"):
        compare(model, other, outputs={"c": (None, 2e-3)})


@pytest.mark.parametrize(
    "criteria",
    [
        Criteria(),
        Criteria(rtol=1e-3),
        Criteria(outputs={"scores": (None, 1e-2)}),
        Criteria(reference="float64"),
    ],
)
def test_declared_criteria_are_those_of_compare(criteria: Criteria) -> None:
    original, other = softmax(), softmax(factor=1.01)
    fed = random_inputs(original)
    assert compare_with(original, other, fed, criteria) == compare(
        original,
        other,
        fed,
        rtol=criteria.rtol,
        atol=criteria.atol,
        outputs=criteria.outputs,
        reference=criteria.reference,
    )


@pytest.mark.parametrize("whose", ["original", "reduced"])
def test_nan_in_outputs_fails_also_if_both_have_it(whose: str) -> None:
    model, broken = softmax(), softmax()
    kernel, bias = broken.get_layer("logits").get_weights()
    bias[0] = np.nan
    broken.get_layer("logits").set_weights([kernel, bias])
    pair = (broken, broken) if whose == "original" else (model, broken)
    found = compare(*pair)
    assert not found.passed
    assert "NaN or infinite" in found.reason


def test_integer_outputs_are_the_same_or_not() -> None:
    image = keras.Input((16,), name="image")
    model = softmax(classes=10)
    # Part of such a scale would be many labels.
    labels = keras.ops.argmax(model(image), axis=-1) * 100_000
    original = keras.Model(image, labels)
    assert compare(original, original).passed
    wrong = keras.Model(image, labels + 1)
    found = compare(original, wrong)
    assert not found.passed


def test_mixed_precision_has_a_wider_default() -> None:
    image = keras.Input((16,), name="image")
    x = L.Dense(8, dtype="mixed_float16", name="scores")(image)
    model = keras.Model(image, x)
    assert compare(model, model).outputs["scores"].rtol == 1e-2


def test_batches_do_not_change_the_figures() -> None:
    original, other = softmax(), softmax(factor=1.1)
    whole = compare(original, other, samples=10, batch_size=10).outputs["scores"]
    parts = compare(original, other, samples=10, batch_size=3).outputs["scores"]
    assert parts.max_abs == pytest.approx(whole.max_abs, rel=1e-3)
    assert parts.mean_abs == pytest.approx(whole.mean_abs, rel=1e-3)
    assert parts.spread == pytest.approx(whole.spread, rel=1e-3)


def test_models_of_other_outputs_cannot_be_compared() -> None:
    with pytest.raises(kito.KitoError, match="outputs have the shapes"):
        compare(softmax(10), softmax(11))
    with pytest.raises(kito.KitoError, match="give two or more"):
        compare(softmax(), softmax(), np.zeros((1, 16)))


def test_kitos_own_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_two_models_results(softmax(), softmax(), 70, 40) == 0
    assert "70" in capsys.readouterr().out
    assert compare_two_models_results(softmax(), softmax(factor=2.0), 10) > 1e-4


@pytest.mark.parametrize("wrong", [{"rtol": -1.0}, {"atol": float("nan")}, {"rtol": float("inf")}])
def test_a_tolerance_is_a_number_of_0_or_more(wrong: dict[str, float]) -> None:
    with pytest.raises(kito.KitoError, match="numbers of 0 or more"):
        compare(softmax(), softmax(), **wrong)  # type: ignore[arg-type]


def copied(model: Any) -> Any:
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    return other


def test_an_output_of_large_values_hides_no_other() -> None:
    x = image = keras.Input((16,), name="image")
    for _ in range(3):
        x = L.Dense(256, activation="relu")(x)
    large = L.Dense(100, name="large", kernel_initializer=keras.initializers.RandomNormal(0, 1e3))
    model = keras.Model(image, [large(x), L.Dense(5, name="small")(x)])
    wrong = copied(model)
    wrong.get_layer("small").set_weights(
        [w * 1.002 for w in model.get_layer("small").get_weights()]
    )
    found = compare(model, wrong)
    assert not found.passed
    assert found.outputs["large"].passed
    assert found.error_vs_float64 is not None
    assert found.error_vs_float64[1] == pytest.approx(2e-3, rel=0.1)  # of the output that is wrong


def test_every_sample_counts_and_the_one_that_is_wrong_is_looked_into() -> None:
    image = keras.Input((4,), name="image")
    y = L.Dense(8, name="first")(image)
    original = keras.Model(image, L.Dense(8, name="last")(y))
    rare = keras.ops.where(image[:, :1] > 5, y * 1.5, y)
    wrong = keras.Model(image, L.Dense(8, name="last")(L.Identity(name="first_")(rare)))
    wrong.set_weights(original.get_weights())
    samples = np.random.default_rng(0).random((64, 4), "float32")
    samples[50] = 10
    found = compare(original, wrong, samples)
    assert not found.passed
    assert found.first_departure == "last"
    assert compare(original, wrong, samples[:50]).passed


def test_outputs_are_structured_and_named_alike() -> None:
    image = keras.Input((4,), name="image")
    a, b = L.Dense(3, name="a")(image), L.Dense(3, name="b")(image)
    model = keras.Model(image, a)
    for other in ([a, b], {"a": a}):
        with pytest.raises(kito.KitoError, match="structured as"):
            compare(model, keras.Model(image, other))
    with pytest.raises(kito.KitoError, match=r"\['a', 'b'\] and \['b', 'a'\]"):
        compare(keras.Model(image, [a, b]), keras.Model(image, [b, a]))
    with pytest.raises(kito.KitoError, match="first axis must hold the samples"):
        compare(keras.Model(image, keras.ops.mean(a)), keras.Model(image, keras.ops.mean(a)))


def test_labels_are_not_compared_with_scores() -> None:
    image = keras.Input((16,), name="image")
    scores = softmax(10)(image)
    labels = keras.Model(image, keras.ops.argmax(scores, axis=-1))
    found = compare(labels, keras.Model(image, keras.ops.max(scores, axis=-1)))
    assert not found.passed
    assert "float32" in found.reason


def test_inputs_of_other_names_match_by_order() -> None:
    def unnamed() -> Any:
        image = keras.Input((4,))
        return keras.Model(image, L.Dense(3, kernel_initializer="ones")(image))

    assert compare(unnamed(), unnamed()).passed
    assert compare_two_models_results(unnamed(), unnamed(), 5) == 0
    a, b = keras.Input((4,)), keras.Input((4,))
    with pytest.raises(kito.KitoError, match="takes the inputs"):
        compare(unnamed(), keras.Model([a, b], a + b))


@pytest.mark.backends("tensorflow", "torch")  # JAX clips indices
def test_a_model_that_fails_on_its_inputs_is_named() -> None:
    words = keras.Input((4,), dtype="int32", name="words")
    model = keras.Model(words, L.Embedding(5, 2)(words), name="reader")
    with pytest.raises(kito.KitoError, match=r"model 'reader' fails on inputs of shapes.*\(2, 4\)"):
        compare(model, model, np.full((2, 4), 9))


def test_against_float64_errors_below_rounding_are_not_weighed() -> None:
    """A few outputs of a small network: their errors are random numbers, and so is the ratio."""
    image = keras.Input((8, 8, 3), name="image")
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3)(image)))
    model = keras.Model(image, L.Dense(1)(L.GlobalAveragePooling2D()(x)))
    for seed in range(8):
        randomize_weights(model, random_inputs(model, samples=8), seed=seed)
        assert compare(model, kito.reduce(model).model, samples=8, reference="float64").passed


def test_a_small_departure_is_found_too() -> None:
    original, wrong = softmax(depth=3), softmax(depth=3)
    layer = wrong.get_layer("hidden_1")
    layer.set_weights([w * 1.0005 for w in layer.get_weights()])
    assert compare(original, wrong).first_departure == "hidden_1"


def test_nan_is_the_largest_difference() -> None:
    broken = softmax()
    broken.set_weights([w * np.nan for w in broken.get_weights()])
    assert np.isnan(compare_two_models_results(softmax(), broken, 10))
