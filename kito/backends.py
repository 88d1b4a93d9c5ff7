"""What Keras computes with, behind one small interface: TensorFlow, JAX or PyTorch.

It is what timing needs of them, and what computing in float64 does. Nobody of us had a GPU: those
lines are written to the backends' documented interfaces and tested with a simulated device only.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError


class Backend(Protocol):
    """What kito needs to know of a backend."""

    def version(self) -> str:
        """The backend's version."""

    def gpu_names(self) -> list[str]:
        """The names of the GPUs that it can use, the one that it uses first."""

    def threads(self) -> int | None:
        """How many threads one operation may use; None where it does not tell."""

    def compiled_call(self, model: keras.Model, arguments: Any, kind: str) -> Callable[[], None]:
        """One inference call, traced, on ``arguments`` held by the device, that waits for its end.

        Args:
            model: a built model.
            arguments: arrays in the structure that the model takes.
            kind: ``cpu`` or ``gpu``.
        """

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        """The kind of device to compute in float64 on: the GPU, where there is one that can."""

    def float64(self, kind: str) -> AbstractContextManager[Any]:
        """Where float64 is float64: what is built and called in it is on that kind of device."""


def current() -> Backend:
    """The backend that Keras uses.

    Raises:
        KitoError: it is one whose calls cannot be timed.
    """
    name = keras.backend.backend()
    if name not in _BACKENDS:
        raise KitoError(
            f"inference on the Keras backend '{name}' cannot be timed; set KERAS_BACKEND to one "
            f"of {', '.join(_BACKENDS)}"
        )
    return _BACKENDS[name]()


class TensorFlow:
    """One ``tf.function``, not compiled by XLA: on CPU that is slower."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._tf = tf

    def version(self) -> str:
        return str(self._tf.__version__)

    def gpu_names(self) -> list[str]:
        config = self._tf.config
        return [
            config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in config.list_physical_devices("GPU")
        ]

    def threads(self) -> int | None:
        # 0: as many as there are processors.
        return self._tf.config.threading.get_intra_op_parallelism_threads() or None

    def compiled_call(self, model: keras.Model, arguments: Any, kind: str) -> Callable[[], None]:
        tf = self._tf
        elsewhere = {
            str(weight.value.device)
            for weight in model.weights
            # Integers (the state of a random generator) live on the CPU anyway.
            if "float" in weight.dtype and f"device:{kind.upper()}:" not in weight.value.device
        }
        if elsewhere:
            raise KitoError(
                f"the weights of model '{model.name}' are on {', '.join(sorted(elsewhere))}, not "
                f"on the {kind}; to time on the CPU where there is a GPU, set "
                "CUDA_VISIBLE_DEVICES=-1 before the model is built"
            )
        with tf.device(f"/{kind.upper()}:0"):
            batch = tree.map_structure(tf.convert_to_tensor, arguments)
        function = tf.function(lambda batch: model(batch, training=False), jit_compile=False)
        function.get_concrete_function(batch)
        if kind == "cpu":  # the call returns when it is done

            def call() -> None:
                function(batch)
        else:

            def call() -> None:
                function(batch)
                tf.test.experimental.sync_devices()

        return call

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        tf = self._tf
        if not tf.config.list_physical_devices("GPU"):
            return "cpu"
        try:  # Apple's GPUs, say, have none, and only trying tells
            with tf.device("/GPU:0"):
                one = tf.ones((1, 1), tf.float64)
                found = tf.linalg.matmul(one, one)
        except tf.errors.OpError:
            return "cpu"
        return "gpu" if "device:GPU" in found.device else "cpu"

    def float64(self, kind: str) -> AbstractContextManager[Any]:
        return _on(kind)


class Jax:
    """``jax.jit`` of the model's ``stateless_call``, its weights passed in."""

    def __init__(self) -> None:
        self._jax = importlib.import_module("jax")

    def version(self) -> str:
        return str(self._jax.__version__)

    def gpu_names(self) -> list[str]:
        try:
            return [str(device.device_kind) for device in self._jax.devices("gpu")]
        except RuntimeError:  # this is how it says that there is none
            return []

    def threads(self) -> int | None:
        return None

    def compiled_call(self, model: keras.Model, arguments: Any, kind: str) -> Callable[[], None]:
        jax = self._jax
        trainable = [variable.value for variable in model.trainable_variables]
        others = [variable.value for variable in model.non_trainable_variables]
        values = jax.device_put((trainable, others, arguments), jax.devices(kind)[0])

        def infer(trainable: Any, others: Any, batch: Any) -> Any:
            return model.stateless_call(trainable, others, batch, training=False)[0]

        compiled = jax.jit(infer).lower(*values).compile()

        def call() -> None:
            jax.block_until_ready(compiled(*values))

        return call

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        # Neither TPUs nor Apple's GPUs, which it calls otherwise, have float64.
        return "gpu" if self._jax.default_backend() == "gpu" else "cpu"

    @contextlib.contextmanager
    def float64(self, kind: str) -> Iterator[None]:
        # Without it JAX makes float32 of what is asked for in float64. The name is that of 0.8.
        enable = getattr(self._jax, "enable_x64", None)
        if enable is None:
            enable = importlib.import_module("jax.experimental").enable_x64
        with enable(True), _on(kind):
            yield


class Torch:
    """The call in ``torch.inference_mode``."""

    def __init__(self) -> None:
        self._torch = importlib.import_module("torch")

    def version(self) -> str:
        return str(self._torch.__version__)

    def gpu_names(self) -> list[str]:
        cuda = self._torch.cuda
        if not cuda.is_available():
            return []
        return [str(cuda.get_device_name(index)) for index in range(cuda.device_count())]

    def threads(self) -> int | None:
        return int(self._torch.get_num_threads())

    def compiled_call(self, model: keras.Model, arguments: Any, kind: str) -> Callable[[], None]:
        torch = self._torch

        def place(array: np.ndarray) -> Any:
            return torch.tensor(array, device="cpu" if kind == "cpu" else "cuda")

        batch = tree.map_structure(place, arguments)

        def call() -> None:
            # Keras puts what it makes itself on the device of this scope.
            with torch.inference_mode(), keras.device(f"{kind}:0"):
                model(batch, training=False)
            if kind == "gpu":
                torch.cuda.synchronize()

        return call

    def float64_kind(self) -> Literal["cpu", "gpu"]:
        # Keras takes Apple's GPU where there is one; that has no float64.
        return "gpu" if self._torch.cuda.is_available() else "cpu"

    def float64(self, kind: str) -> AbstractContextManager[Any]:
        return _on(kind)


def _on(kind: str) -> AbstractContextManager[Any]:
    device: AbstractContextManager[Any] = keras.device(f"{kind}:0")
    return device


_BACKENDS: dict[str, Callable[[], Backend]] = {
    "tensorflow": TensorFlow,
    "jax": Jax,
    "torch": Torch,
}
