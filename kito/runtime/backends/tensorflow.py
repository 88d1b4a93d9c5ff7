"""The TensorFlow backend; the parts for GPUs are tested with a simulated GPU only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import keras
from keras import tree

from kito.errors import KitoError
from kito.runtime.backends.protocol import Jit, on_device


class TensorFlow:
    """Calls are one ``tf.function``. On a CPU, XLA is slower, and compiles them only on request."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._tf = tf

    def prepare(self, kind: str) -> None:
        config = self._tf.config
        gpus = config.get_visible_devices("GPU")
        try:
            if kind == "cpu" and gpus:
                config.set_visible_devices([], "GPU")
            for gpu in gpus if kind != "cpu" else ():
                # Otherwise the first tensor takes all memory of the card from other processes.
                config.experimental.set_memory_growth(gpu, True)
        except RuntimeError as error:  # TensorFlow has already started, and uses the GPU
            if kind == "cpu":
                raise KitoError(
                    "it is too late to choose the CPU, TensorFlow has already started on the GPU: "
                    "set CUDA_VISIBLE_DEVICES=-1, or choose before anything is computed"
                ) from error

    def version(self) -> str:
        return str(self._tf.__version__)

    def gpu_names(self) -> list[str]:
        config = self._tf.config
        return [
            config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in config.get_visible_devices("GPU")
        ]

    def threads(self) -> int | None:
        # 0: as many as there are processors.
        return self._tf.config.threading.get_intra_op_parallelism_threads() or None

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        if wanted != "auto":
            return wanted == "on"
        return kind == "gpu" and _as_predict_would(model)

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        tf = self._tf

        def call() -> None:
            with tf.device(f"/{kind.upper()}:0"):
                tensors = self._tensors(arguments)
                tree.map_structure(lambda x: None if x is None else tf.identity(x), tensors)
            if kind == "gpu":
                tf.test.experimental.sync_devices()

        return call

    def _tensors(self, arguments: Any) -> Any:
        """Arrays as tensors; an optional input that is left out is None."""
        convert = self._tf.convert_to_tensor
        return tree.map_structure(lambda x: None if x is None else convert(x), arguments)

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        tf = self._tf
        elsewhere = {
            str(weight.value.device)
            for weight in model.weights
            # Integers (the state of a random generator) are always on the CPU.
            if "float" in weight.dtype and f"device:{kind.upper()}:" not in weight.value.device
        }
        if elsewhere:
            raise KitoError(
                f"the weights of model '{model.name}' are on {', '.join(sorted(elsewhere))}, not "
                f"on the {kind}; to time on the CPU where there is a GPU, set "
                "CUDA_VISIBLE_DEVICES=-1 before the model is built"
            )
        with tf.device(f"/{kind.upper()}:0"):
            batch = self._tensors(arguments)
        function = tf.function(lambda batch: model(batch, training=False), jit_compile=jit)
        function.get_concrete_function(batch)
        if kind == "cpu":  # the call returns when the result is there

            def call() -> None:
                function(batch)
        else:

            def call() -> None:
                function(batch)
                tf.test.experimental.sync_devices()

        return call

    @contextmanager
    def full_float32(self) -> Iterator[None]:
        config = self._tf.config.experimental
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            config.enable_tensor_float_32_execution(before)

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        tf = self._tf
        if not tf.config.get_visible_devices("GPU"):
            return "cpu"
        try:  # some GPUs, such as Apple's, have no float64, which only an attempt shows
            with tf.device("/GPU:0"):
                one = tf.ones((1, 1), tf.float64)
                product = tf.linalg.matmul(one, one)
        except tf.errors.OpError:
            return "cpu"
        return "gpu" if "device:GPU" in product.device else "cpu"

    def float64(self, kind: str) -> AbstractContextManager[Any]:
        return on_device(kind)


def _as_predict_would(model: keras.Model) -> bool:
    """Whether the model's own ``predict`` would be compiled by XLA."""
    if not model.compiled:
        # Reading jit_compile stores it on the model, which is the user's. Read it on another model
        # of the same layers.
        model = keras.Model(model.inputs, model.outputs)
    return bool(model.jit_compile)
