"""Runs inside a peer's environment (Keras 2.15): builds a network, folds it and compares outputs.

Nothing of this repository can be imported there. Commands come as lines of JSON on standard input,
and each is answered by one line of JSON on standard output; what the peer prints goes to standard
error.

    {"do": "build", "network": "MobileNet", "options": {}} -> {"layers", "batchnorms", "versions"}
    {"do": "convert"} -> {"seconds"}
    {"do": "compare"} -> {"layers", "batchnorms", "max", "mean", "scale"}

Any of them may be answered by {"error": "..."} instead.
"""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

SAMPLES = 4


def kito_fold() -> Callable[[Any], Any]:
    """KITO's function."""
    fold: Callable[[Any], Any] = importlib.import_module("kito").reduce_keras_model
    return fold


def folding_fold() -> Callable[[Any], Any]:
    """The function of tensorflow-batchnorm-folding; it tells of a failure by a word."""
    folder = importlib.import_module("batch_normalization_folding.folder")

    def fold(model: Any) -> Any:
        folded, told = folder.fold_batchnormalization_layers(model)
        if told == "failed":
            raise RuntimeError("it answers 'failed'")
        return folded

    return fold


FOLDS = {"kito": kito_fold, "folding": folding_fold}
PACKAGES = {"kito": "kito", "folding": "tensorflow-batchnorm-folding"}


class Server:
    """One network, and what the peer makes of it."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.fold = FOLDS[peer]()
        self.model: Any = None
        self.folded: Any = None
        self._warm_up()

    def _warm_up(self) -> None:
        """The first call of a library pays for imports, which are no conversion."""
        image = tf.keras.Input((8, 8, 3))
        x = tf.keras.layers.Conv2D(4, 3)(image)
        x = tf.keras.layers.BatchNormalization()(x)
        model = tf.keras.Model(image, tf.keras.layers.Activation("relu")(x))
        attempt(lambda: self.fold(model))

    def build(self, network: str, options: dict[str, Any]) -> dict[str, Any]:
        """Make the network of ``keras.applications``, with calibrated random weights."""
        tf.keras.utils.set_random_seed(0)
        self.model = getattr(tf.keras.applications, network)(weights=None, **options)
        calibrate(self.model)
        packages = ("tensorflow", "keras", PACKAGES[self.peer])
        versions = {name: importlib.metadata.version(name) for name in packages}
        return {**counts(self.model), "versions": {"python": sys.version.split()[0], **versions}}

    def convert(self) -> dict[str, Any]:
        """Fold once, timed."""
        self.folded = None
        gc.collect()
        start = time.perf_counter()
        self.folded, error = attempt(lambda: self.fold(self.model))
        seconds = time.perf_counter() - start
        return {"error": error} if error else {"seconds": seconds}

    def compare(self) -> dict[str, Any]:
        """The largest and the mean difference of outputs; scale is the largest output."""
        images = random_images(self.model, seed=3)
        right = self.model(images, training=False).numpy()
        result = self.folded(images, training=False).numpy()
        difference = np.abs(result.astype("float64") - right)
        return {
            **counts(self.folded),
            "max": float(difference.max()),
            "mean": float(difference.mean()),
            "scale": float(np.abs(right).max()),
        }


def attempt(function: Callable[[], Any]) -> tuple[Any, str | None]:
    """What the function returns, and why it failed, in one line."""
    try:
        return function(), None
    except (Exception, SystemExit) as error:  # KITO calls exit() on what it does not support
        text = " ".join(str(error).split()) or "no message"
        return None, f"{type(error).__name__}: {text}"


def counts(model: Any) -> dict[str, int]:
    """Layers and BatchNormalization layers of a model."""
    norms = [x for x in model.layers if isinstance(x, tf.keras.layers.BatchNormalization)]
    return {"layers": len(model.layers), "batchnorms": len(norms)}


def random_images(model: Any, seed: int) -> Any:
    """Images uniform in [0, 255), shape (SAMPLES, height, width, 3)."""
    shape = (SAMPLES, *(size or 224 for size in model.input_shape[1:]))
    return tf.constant(np.random.default_rng(seed).uniform(0, 255, shape).astype("float32"))


def calibrate(model: Any) -> None:
    """Random weights as ``kito.runtime.random_weights`` gives them, for Keras 2.

    Kernels by He, gammas in [0.6, 1.4] with every eighth negative, betas around 0.25; one pass in
    training mode with momentum 0 then leaves the statistics that training would have left.
    """
    rng = np.random.default_rng(2)
    norms = []
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            norms.append((layer, layer.momentum))
            layer.momentum = 0.0
        for variable in layer.weights:
            variable.assign(drawn(variable.name.split("/")[-1].split(":")[0], variable.shape, rng))
    model(random_images(model, seed=1), training=True)
    for layer, momentum in norms:
        layer.momentum = momentum


def drawn(name: str, shape: Any, rng: np.random.Generator) -> Any:
    """Random values for a variable of that name."""
    if "variance" in name:
        return np.ones(shape)
    if "mean" in name:
        return np.zeros(shape)
    if name == "gamma":
        values = rng.uniform(0.6, 1.4, shape)
        values[..., ::8] *= -1
        return values
    if name == "beta":
        return rng.normal(0.25, 0.5, shape)
    if len(shape) < 2:
        return rng.normal(0, 0.05, shape)
    fan_in = np.prod(shape[:-2] if "depthwise" in name else shape[:-1])
    return rng.normal(0, np.sqrt(2 / max(fan_in, 1)), shape)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the peer prints is no answer
    server = Server(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        answer, error = attempt(functools.partial(getattr(server, command.pop("do")), **command))
        print(json.dumps({"error": error} if error else answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
