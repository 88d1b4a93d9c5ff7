"""TensorFlow running a SavedModel; the GPU is untested.

To run on the CPU, a process must hide GPUs (``CUDA_VISIBLE_DEVICES=-1``) before TensorFlow starts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from kito.errors import KitoError
from kito.export.engines.protocol import Batch, Facts, NoEngineDeviceError, Settings


class Loaded:
    """See :class:`kito.export.engines.protocol.EngineModel`."""

    def __init__(self, loaded: Any, settings: Settings) -> None:
        self._loaded, self._kind = loaded, settings.kind
        [serve] = loaded.serve.concrete_functions
        (self._argument,), _ = serve.structured_input_signature
        self.facts = Facts(
            takes=tuple(spec.name for spec in tf.nest.flatten(self._argument)),
            returns=None,
            version=str(tf.__version__),
            provider=settings.kind.upper(),
            threads=settings.threads,
        )

    def run(self, batch: Batch) -> Any:
        # `loaded` owns the function's variables, so this object must keep it alive.
        return tf.nest.map_structure(lambda x: x.numpy(), self._loaded.serve(self._fed(batch)))

    def prepared(self, batch: Batch) -> Callable[[], None]:
        with tf.device(f"/{self._kind.upper()}:0"):
            fed = self._fed(batch)
        serve = self._loaded.serve
        if self._kind == "cpu":  # the call returns when the result is there
            return lambda: serve(fed)

        def call() -> None:
            serve(fed)
            tf.test.experimental.sync_devices()

        return call

    def _fed(self, batch: Batch) -> Any:
        return tf.nest.map_structure(
            lambda spec: tf.constant(batch[spec.name], spec.dtype), self._argument
        )


def load(path: Path, settings: Settings) -> Loaded:
    """See :class:`kito.export.engines.protocol.Engine`."""
    if settings.kind == "gpu":
        gpu()
    if settings.threads is not None:
        # TensorFlow has started where a file was loaded before, with the same number.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    loaded = tf.saved_model.load(str(path))
    if not hasattr(loaded, "serve"):
        raise KitoError("it has no function 'serve', which Keras exports")
    return Loaded(loaded, settings)


def gpu() -> str:
    """See :class:`kito.export.engines.protocol.Engine`."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        raise NoEngineDeviceError(
            "TensorFlow finds no GPU here: install its build for GPUs, and check with nvidia-smi "
            "that the driver sees one"
        )
    details = tf.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", ""))
