"""The value of a metric on a model, and every metric that cannot judge one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kito.errors import KitoError
from kito.runtime.engine import LoadedFile
from kito.runtime.predict import Predictor
from pytest_kito.checks.evaluate import evaluate, read_original
from pytest_kito.config.metrics import MetricSpec

MODULE = """
import itertools
import keras
import numpy as np

numbers = itertools.count()
an_instance = keras.metrics.MeanSquaredError()
not_callable = 7


def mean(predict, data):
    return np.mean(predict(data["image"]))


def scaled(predict, data, factor=1.0):
    return factor * mean(predict, data)


def tensor(predict, data):
    return keras.ops.mean(predict(data["image"]))


def half(predict, data):
    return keras.ops.cast(tensor(predict, data), "bfloat16")


def whole(predict, data):
    predict(data["image"])
    return 3


def mutating(predict, data):
    value = mean(predict, data)
    data["image"] *= 0
    del data["label"]
    return value


def without_data(predict, data):
    return float(data is None) + np.mean(predict(np.ones((2, 4))))


def late_import(predict, data):
    import beside

    return beside.VALUE * mean(predict, data)


def given():
    return {"image": np.ones((3, 4)), "label": np.ones(3)}


def generated():
    return (np.full((2, 4), i) for i in range(1, 3))


def summed(predict, data):
    return sum(np.sum(predict(batch)) for batch in data)


def pair():
    return np.ones((3, 4)), np.zeros((3, 1))


def unequal():
    return np.ones((3, 4)), np.zeros((1, 1))


def nan(predict, data):
    return np.nan * mean(predict, data)


def infinite(predict, data):
    return np.inf * mean(predict, data)


def nothing(predict, data):
    predict(data["image"])


def per_sample(predict, data):
    return predict(data["image"])[:, 0]


def text(predict, data):
    return str(mean(predict, data))


def decided(predict, data):
    return mean(predict, data) > 0


def complexes(predict, data):
    return 1j * mean(predict, data)


def raising(predict, data):
    return data["no such array"]


def exiting(predict, data):
    raise SystemExit("thresholds are missing")


def wrong_batch(predict, data):
    return np.mean(predict(data["image"][:, :2]))


def constant(predict, data):
    return 0.99


def stateful(predict, data):
    return mean(predict, data) + next(numbers)


def no_arguments():
    return 1.0


def lost():
    raise OSError("the disk is gone")


def forgotten():
    pass


class Own(keras.metrics.Metric):
    def __init__(self, factor):
        super().__init__()
        self.factor, self.total = factor, self.add_weight(initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(keras.ops.sum(y_pred) * self.factor)

    def result(self):
        return self.total
"""


def spec(source: str, data: str | None = "data.npz", **kwargs: Any) -> MetricSpec:
    source = source if "." in source else f"measured:{source}"
    return MetricSpec.model_validate({"source": source, "data": data, "kwargs": kwargs})


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """The directory of kito.yaml; its modules are forgotten afterwards."""
    (tmp_path / "measured.py").write_text(MODULE)
    (tmp_path / "beside.py").write_text("VALUE = 2.0\n")
    np.savez(tmp_path / "data.npz", image=np.ones((3, 4)), label=np.ones(3))
    yield tmp_path
    for name in ("measured", "beside"):
        sys.modules.pop(name, None)


def model(outputs: int = 1) -> keras.Model:
    """It returns 2 for ones, of shape (samples, 1); several times where it has several outputs."""
    image = keras.Input((4,), name="image")
    x = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False, name="sum")(image)
    x = keras.layers.Rescaling(0.5, name="scores")(x)
    return keras.Model(image, x if outputs == 1 else [x] * outputs, name="net")


def value(declared: MetricSpec, base: Path, outputs: int = 1) -> float:
    judged = model(outputs)
    return evaluate(declared, base, Predictor(judged, judged), "the model")


@pytest.mark.parametrize(
    "declared, expected",
    [
        (spec("mean"), 2.0),
        (spec("scaled", factor=3.0), 6.0),
        (spec("tensor"), 2.0),
        (spec("half"), 2.0),
        (spec("whole"), 3.0),
        (spec("mutating"), 2.0),
        (spec("late_import"), 4.0),
        (spec("without_data", data=None), 3.0),
        (spec("mean", data="measured:given"), 2.0),
        (spec("summed", data="measured:generated"), 2 * 2 + 2 * 4),
        (spec("keras.metrics.MeanSquaredError"), 1.0),
        (spec("keras.metrics:MeanSquaredError", data="measured:pair"), 4.0),
        (spec("keras.metrics.BinaryAccuracy", threshold=2.5), 0.0),
        (spec("measured.Own", factor=2.0), 12.0),
    ],
    ids=lambda x: x.source if isinstance(x, MetricSpec) else None,
)
def test_a_value_is_the_same_at_each_evaluation(
    base: Path, declared: MetricSpec, expected: float
) -> None:
    assert read_original(declared, base, model()).value == expected
    assert read_original(declared, base, model()).warnings == ()


@pytest.mark.parametrize(
    "declared, says",
    [
        (spec("nan"), "metric 'measured:nan' returned nan on the model; return a finite number"),
        (spec("infinite"), "returned inf on the model"),
        (spec("nothing"), "returned None on the model; return one number"),
        (spec("per_sample"), "returned an array of shape (3,) on the model; return one number"),
        (spec("text"), "returned an object of type str on"),
        (spec("decided"), "returned an object of type bool"),
        (spec("complexes"), "returned an object of type complex"),
        (spec("raising"), "raised on the model KeyError: 'no such array' (measured.py, line"),
        (spec("exiting"), "raised on the model SystemExit: thresholds are missing (measured.py,"),
        (
            spec("wrong_batch"),
            "metric 'measured:wrong_batch' on the model: input 'image' has shape",
        ),
        (spec("constant"), "metric 'measured:constant' never called predict, so"),
        (
            spec("no_arguments"),
            "'measured:no_arguments' cannot be called as metric(predict, data):",
        ),
        (spec("scaled", faktor=1), "cannot be called as metric(predict, data, faktor=..): got an"),
        (spec("not_callable"), "metric 'measured:not_callable' is an object of type int; name"),
        (spec("an_instance"), "'measured:an_instance' is an object that keeps state; name its"),
        (spec("absent"), "'measured:absent' cannot be imported: 'measured' has no 'absent'"),
        (spec("mean", data="measured:lost"), "data 'measured:lost' raised OSError: the disk is"),
        (spec("mean", data="measured:forgotten"), "data 'measured:forgotten' returned None"),
        (spec("mean", data="measured:not_callable"), "data 'measured:not_callable' is an object"),
        (spec("mean", data="measured.npz"), "there is no file"),
        (
            spec("keras.metrics.MeanSquaredError", data="labels.npz"),
            "takes the inputs ['image'] and one more array, the labels; data 'labels.npz' holds "
            "['image']",
        ),
        (
            spec("keras.metrics.MeanSquaredError", data="unnamed.npz"),
            "data 'unnamed.npz' holds ['x', 'y']",
        ),
        (
            spec("keras.metrics.MeanSquaredError", data=None),
            "there is no data: give an .npz file, or a callable that returns a dict",
        ),
        (
            spec("keras.metrics.MeanSquaredError", data="measured:generated"),
            "there is an object of type generator: give",
        ),
        (
            spec("keras.metrics.MeanSquaredError", data="measured:unequal"),
            "data 'measured:unequal' holds 3 samples and 1 label; it needs as many",
        ),
        (
            spec("keras.metrics.MeanSquaredError", thresh=1),
            "created with its kwargs, raised TypeError",
        ),
        (spec("keras.metrics.MeanIoU", num_classes=0), "metric 'keras.metrics.MeanIoU'"),
    ],
    ids=lambda x: f"{x.source}-{x.data}" if isinstance(x, MetricSpec) else None,
)
def test_a_metric_that_cannot_judge(base: Path, declared: MetricSpec, says: str) -> None:
    np.savez(base / "labels.npz", image=np.ones((3, 4)))
    np.savez(base / "unnamed.npz", x=np.ones((3, 4)), y=np.ones(3))
    with pytest.raises(KitoError) as caught:
        value(declared, base)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_metric_of_keras_takes_one_output(base: Path) -> None:
    with pytest.raises(KitoError, match=r"takes one output, the model returns a list of 2 outputs"):
        value(spec("keras.metrics.MeanSquaredError"), base, outputs=2)


def test_a_metric_that_keeps_state_is_told_with_both_values(base: Path) -> None:
    with pytest.raises(KitoError, match=r"depends on more than the model: 2\.0, then 3\.0 on"):
        read_original(spec("stateful"), base, model())


def test_a_device_that_is_not_reproducible_is_a_warning(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors = iter((1.0, 1.0 + 2**-20))

    def noisy(judged: Any, original: Any) -> Predictor:
        factor = next(factors)
        file = LoadedFile("net", lambda batch: factor * batch["image"])
        return Predictor(file, original)

    monkeypatch.setattr("kito.runtime.predict.Predictor", noisy)
    reading = read_original(spec("mean"), base, model())
    assert reading.value == 1.0
    [warning] = reading.warnings
    assert "the original's own outputs vary on this device, and the metric with them" in warning
