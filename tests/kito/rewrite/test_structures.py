"""Models are reduced, compared, saved and loaded as they are called.

With dicts, lists and nested structures of inputs and outputs, optional inputs, masks, integers,
strings, open sizes, and preprocessing inside.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import randomize

import kito
from kito.export.artifact import write_artifact
from kito.export.proof import Baseline
from kito.runtime.inputs import resolve_inputs

L = keras.layers
RNG = np.random.default_rng(0)
WORDS = np.array([["a b c"], ["c"], ["b b a a"], ["d"]])


def image(name: str = "image", size: int | None = 6) -> Any:
    return keras.Input((size, size, 3), name=name)


def images(size: int = 6) -> np.ndarray:
    return RNG.normal(size=(4, size, size, 3)).astype("float32")


def fold(x: Any, name: str = "conv") -> Any:
    return L.BatchNormalization()(L.Conv2D(4, 3, padding="same", name=name)(x))


def dense(x: Any) -> Any:
    return L.BatchNormalization()(L.Dense(4)(x))


def nested() -> tuple[Any, Any]:
    a, b, c = image("a"), image("b"), keras.Input((2,), name="c")
    y = L.Add(name="sum")([fold(a, "left"), fold(b, "right")])
    results = {"maps": [y, {"pooled": L.GlobalMaxPooling2D(name="pool")(y)}], "dense": dense(c)}
    model = keras.Model({"images": [a, b], "more": {"vector": c}}, results)
    vector = RNG.normal(size=(4, 2)).astype("float32")
    return model, {"images": [images(), images()], "more": {"vector": vector}}


def lists_in_a_tuple() -> tuple[Any, Any]:
    a, b, c = image("a"), image("b"), image("c")
    y = L.Concatenate()([fold(x, f"conv_{i}") for i, x in enumerate((a, b, c))])
    return keras.Model(([a, b], c), y), ([images(), images()], images())


@keras.saving.register_keras_serializable("structures")
class AddIfGiven(L.Layer):  # type: ignore[misc]
    def call(self, x: Any, y: Any = None) -> Any:
        return x if y is None else x + y

    def compute_output_shape(self, x_shape: Any, y_shape: Any = None) -> Any:
        return x_shape


def optional(given: bool) -> tuple[Any, Any]:
    a, b = image("a"), keras.Input((6, 6, 4), name="b", optional=True)
    model = keras.Model({"a": a, "b": b}, L.ReLU()(AddIfGiven()(fold(a), b)))
    more = RNG.normal(size=(4, 6, 6, 4)).astype("float32")
    return model, {"a": images(), "b": more} if given else {"a": images()}


def ids(zeros: bool = True) -> np.ndarray:
    values = RNG.integers(1, 9, (4, 7))
    values[1:, 4:] = 0
    return values


def masked_lstm() -> tuple[Any, Any]:
    words = keras.Input((None,), dtype="int32", name="words")
    x = L.SpatialDropout1D(0.5)(L.Embedding(9, 4, mask_zero=True)(words))
    return keras.Model(words, dense(L.Bidirectional(L.LSTM(3))(x))), ids()


def masked_attention() -> tuple[Any, Any]:
    words = keras.Input((7,), dtype="int64", name="words")
    x = dense(L.Embedding(9, 4, mask_zero=True)(words))
    x = L.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(words, L.GlobalAveragePooling1D()(L.BatchNormalization()(x))), ids()


def masked_steps() -> tuple[Any, Any]:
    steps = keras.Input((7, 3), name="steps")
    x = L.GRU(3, return_sequences=True)(L.Masking(0.0)(steps))
    values = RNG.normal(size=(4, 7, 3)).astype("float32")
    values[1:, 4:] = 0
    return keras.Model(steps, L.TimeDistributed(L.BatchNormalization())(x)), values


def open_sizes() -> tuple[Any, Any]:
    x = image(size=None)
    y = L.GlobalAveragePooling2D()(L.UpSampling2D()(L.ReLU()(fold(L.ZeroPadding2D(1)(x)))))
    return keras.Model({"image": x}, {"scores": dense(y)}), {"image": images(10)}


def open_sequence() -> tuple[Any, Any]:
    steps = keras.Input((None, 3), name="steps")
    x = L.BatchNormalization()(L.Conv1D(4, 3, padding="causal")(steps))
    return keras.Model(steps, L.GlobalMaxPooling1D()(x)), RNG.normal(size=(4, 9, 3))


def text(**arguments: Any) -> tuple[Any, Any]:
    words = keras.Input((1,), dtype="string", name="words")
    vectorize = L.TextVectorization(max_tokens=9, **arguments)
    vectorize.adapt(["a b c d", "a b"])
    x = L.Embedding(9, 4)(vectorize(words))
    return keras.Model({"words": words}, dense(L.GlobalAveragePooling1D()(x))), {"words": WORDS}


def counted_words() -> tuple[Any, Any]:
    words = keras.Input((), dtype="string", name="words")
    vectorize = L.TextVectorization(max_tokens=9, output_mode="tf_idf")
    vectorize.adapt(["a b c d", "a b"])
    return keras.Model(words, dense(vectorize(words))), WORDS[:, 0]


def lookup() -> tuple[Any, Any]:
    word, number = keras.Input((1,), dtype="string", name="word"), keras.Input((2,), name="number")
    one_hot = L.StringLookup(vocabulary=["a", "c", "d"], output_mode="one_hot")
    x = L.Concatenate()([one_hot(word), L.Normalization(mean=1.0, variance=2.0)(number)])
    values = np.array([["a"], ["c"], ["d"], ["?"]], object)
    return keras.Model([word, number], dense(x)), [values, RNG.normal(size=(4, 2))]


def ragged() -> tuple[Any, Any]:
    words = keras.Input((), dtype="string", name="words")
    vectorize = L.TextVectorization(max_tokens=9, ragged=True)
    vectorize.adapt(["a b c d", "a b"])
    x = L.CategoryEncoding(num_tokens=9, output_mode="count")(vectorize(words))
    return keras.Model(words, dense(x)), WORDS[:, 0]


MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "nested": nested,
    "lists_in_a_tuple": lists_in_a_tuple,
    "optional_given": lambda: optional(True),
    "optional_left_out": lambda: optional(False),
    "masked_lstm": masked_lstm,
    "masked_attention": masked_attention,
    "masked_steps": masked_steps,
    "open_sizes": open_sizes,
    "open_sequence": open_sequence,
    "text": lambda: text(output_sequence_length=5),
    "text_of_open_length": text,
    "counted_words": counted_words,
    "lookup": lookup,
    "ragged": ragged,
}
KEPT = {"masked_steps": 1, "masked_attention": 1}
"""BatchNormalizations that nothing can absorb."""
STRINGS = {"text", "text_of_open_length", "counted_words", "lookup", "ragged"}
"""Only TensorFlow has strings."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(x, marks=pytest.mark.backends("tensorflow") if x in STRINGS else ())
        for x in MODELS
    ],
)
def test_reduced_compared_saved_and_loaded_as_it_is_called(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model, inputs = MODELS[name]()
    randomize(model)
    reduction = kito.reduce(model)
    assert reduction.batchnorms[1] == 0 < reduction.batchnorms[0]
    assert reduction.precomputed == KEPT.get(name, 0), reduction.kept
    keras.tree.assert_same_structure(reduction.model.input, model.input)
    keras.tree.assert_same_structure(reduction.model.output, model.output)
    reduction.model.save(tmp_path / "reduced.keras")
    for other in (reduction.model, keras.models.load_model(tmp_path / "reduced.keras")):
        comparison = kito.compare(model, other, inputs, reference="float64")
        assert comparison.passed, comparison.message()


def test_an_optional_input_that_is_left_out_is_timed() -> None:
    model, inputs = optional(False)
    reduced = kito.reduce(model).model
    assert kito.measure_speedup(model, reduced, inputs, batch_size=2, budget_s=0.2).ratio > 0


@pytest.mark.backends("tensorflow")
def test_an_optional_input_that_is_left_out_is_not_exported(tmp_path: Path) -> None:
    model, inputs = optional(False)
    reduced = kito.reduce(model).model
    baseline = Baseline(model, resolve_inputs(model, inputs))
    with pytest.raises(
        kito.KitoError, match=r"TensorFlow takes every input: give data for \['b'\]"
    ):
        write_artifact(reduced, baseline, tmp_path, "net", "saved_model")
