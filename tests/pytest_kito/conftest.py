"""A small model repository, for tests that run pytest inside pytest.

pytest forgets the modules that such an inner run imported, and TensorFlow and ONNX Runtime cannot
be imported twice in one process. This module therefore imports them first. It imports the core too:
otherwise an inner run would look up a layer in the registry of another run, and TensorFlow would
look for code that no longer exists.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from textwrap import dedent

import keras
import pytest

import kito.export.artifact
import kito.export.engine_speedup
import kito.rewrite.reduce
import kito.runtime.load
import kito.timing.speedup

assert keras.backend.backend()
assert kito.export.artifact
assert kito.export.engine_speedup
assert kito.reduce

for name in ("onnxruntime", "tf2onnx"):
    with contextlib.suppress(ImportError):  # an environment without TensorFlow has neither
        importlib.import_module(name)

MODELS = '''
import keras
import numpy as np


def net(width=4, name="net"):
    """Conv - BatchNormalization - ReLU with statistics that folding must not lose."""
    rng = np.random.default_rng(0)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(width, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(3, name="scores")(x), name=name)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


class Block(keras.layers.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(filters, 3, use_bias=False, name="conv")
        self.bn = keras.layers.BatchNormalization(name="bn")

    def call(self, x, training=None):
        return keras.activations.relu(self.bn(self.conv(x), training=training))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.blocks = [Block(4, name=f"block_{i}") for i in range(2)]
        self.head = keras.layers.Dense(3)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(keras.ops.mean(x, axis=(1, 2)))


class Bound(keras.layers.Layer):
    """A function that refers to it uses an argument that get_config() forgets."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.f = lambda x: x * self.factor

    def call(self, x):
        return self.f(x)

    def get_config(self):
        return dict(super().get_config())


def sharing():
    base = net()
    return keras.Model(base.input, Bound(3.0, name="bound")(base.output), name="sharing")


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 8, 8, 3), "float32"))
    return model


def kept():
    """A normalization that nothing can absorb."""
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.BatchNormalization(name="first")(image)
    x = keras.layers.Softmax(name="softmax")(x)
    return keras.Model(image, keras.layers.Dense(2, name="scores")(x), name="kept")


def constant():
    """Its output does not depend on its input, so that every comparison passes."""
    x = image = keras.Input((4,), name="image")
    x = keras.layers.Dense(3, kernel_initializer="zeros", bias_initializer="ones")(x)
    return keras.Model(image, x, name="constant")


def many():
    """Five normalizations that nothing can absorb."""
    x = image = keras.Input((4,), name="image")
    for i in range(5):
        x = keras.layers.BatchNormalization(name=f"bn_{i}")(x)
        x = keras.layers.Softmax(name=f"softmax_{i}")(x)
    return keras.Model(image, x, name="many")


def mean(predict, data):
    """A metric."""
    return np.mean(predict(np.ones((4, 8, 8, 3))))


def broken():
    raise RuntimeError("the weights are lost")


def nothing():
    return 7
'''


@pytest.fixture(autouse=True)
def _no_github_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner runs of a job must not write into the job's own summary."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(pytester: pytest.Pytester) -> Callable[[str], pytest.Pytester]:
    """Return a function that writes kito.yaml and a module of models; it returns the pytester."""

    def make(config: str) -> pytest.Pytester:
        (pytester.path / "nets.py").write_text(MODELS)
        (pytester.path / "kito.yaml").write_text(dedent(config).lstrip())
        return pytester

    return make


@pytest.fixture
def models_source() -> str:
    """The source of the module ``nets``."""
    return MODELS
