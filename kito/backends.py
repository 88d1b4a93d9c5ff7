"""What Keras computes with, behind one small interface: TensorFlow, JAX or PyTorch.

It is what timing needs of them, and what computing in float64 does. Nobody of us had a GPU: those
lines are written to the backends' documented interfaces and tested with a simulated device only.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import keras
import numpy as np
from keras import tree

from kito.errors import KitoError

Jit = Literal["auto", "on", "off"]
"""Whether calls are compiled by XLA; ``auto``: as the backend's own ``predict`` would have it."""


class Backend(Protocol):
    """What kito needs to know of a backend."""

    def prepare(self, kind: str) -> None:
        """Before anything is on a device: have the CPU chosen, or a GPU's memory shared.

        Args:
            kind: ``cpu``, ``gpu`` or ``auto``.

        Raises:
            KitoError: the CPU is asked for, and it is too late to choose it.
        """

    def version(self) -> str:
        """The backend's version."""

    def gpu_names(self) -> list[str]:
        """The names of the GPUs that it can use, the one that it uses first."""

    def threads(self) -> int | None:
        """How many threads one operation may use; None where it does not tell."""

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        """Whether the calls of this model are to be compiled by XLA.

        Raises:
            KitoError: what is wanted is not to be had with this backend.
        """

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        """Bringing ``arguments`` from the host to the device, waiting for the end of it."""

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        """One inference call, traced, on ``arguments`` held by the device, that waits for its end.

        Args:
            model: a built model.
            arguments: arrays in the structure that the model takes.
            kind: ``cpu`` or ``gpu``.
            jit: what :meth:`jit` said.
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
    """One ``tf.function``; on CPU not compiled by XLA unless asked for: that is slower."""

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
                # Otherwise the first tensor takes all memory of the card, whoever else is on it.
                config.experimental.set_memory_growth(gpu, True)
        except RuntimeError as error:  # TensorFlow has started, and with it the GPU
            if kind == "cpu":
                raise KitoError(
                    "the CPU cannot be chosen any more, TensorFlow has already started on the "
                    "GPU: set CUDA_VISIBLE_DEVICES=-1, or choose before anything is computed"
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
                tree.map_structure(lambda x: tf.identity(tf.convert_to_tensor(x)), arguments)
            if kind == "gpu":
                tf.test.experimental.sync_devices()

        return call

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
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
        function = tf.function(lambda batch: model(batch, training=False), jit_compile=jit)
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
        if not tf.config.get_visible_devices("GPU"):
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

    def prepare(self, kind: str) -> None:
        if kind == "cpu":
            self._jax.config.update("jax_platforms", "cpu")
        # Read when JAX starts on a GPU; otherwise it takes three quarters of the card.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    def version(self) -> str:
        return str(self._jax.__version__)

    def gpu_names(self) -> list[str]:
        try:
            return [str(device.device_kind) for device in self._jax.devices("gpu")]
        except RuntimeError:  # this is how it says that there is none
            return []

    def threads(self) -> int | None:
        return None

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        if wanted == "off":
            raise KitoError("JAX compiles with XLA only: set jit: auto or on")
        return True

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        jax = self._jax
        device = jax.devices(kind)[0]
        return lambda: jax.block_until_ready(jax.device_put(arguments, device))

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = True
    ) -> Callable[[], None]:
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

    def prepare(self, kind: str) -> None:
        # It takes memory as it needs it. Keras chooses its device when it is imported.
        if kind == "cpu" and self.gpu_names():
            raise KitoError(
                "Keras on PyTorch is on the GPU already: set CUDA_VISIBLE_DEVICES=-1 to run on "
                "the CPU"
            )

    def version(self) -> str:
        return str(self._torch.__version__)

    def gpu_names(self) -> list[str]:
        cuda = self._torch.cuda
        if not cuda.is_available():
            return []
        return [str(cuda.get_device_name(index)) for index in range(cuda.device_count())]

    def threads(self) -> int | None:
        return int(self._torch.get_num_threads())

    def jit(self, model: keras.Model, wanted: Jit, kind: str) -> bool:
        if wanted == "on":
            raise KitoError("PyTorch runs without XLA: set jit: auto or off")
        return False

    def transfer(self, arguments: Any, kind: str) -> Callable[[], None]:
        def call() -> None:
            self._place(arguments, kind)
            if kind == "gpu":
                self._torch.cuda.synchronize()

        return call

    def _place(self, arguments: Any, kind: str) -> Any:
        def place(array: np.ndarray) -> Any:
            return self._torch.tensor(array, device="cpu" if kind == "cpu" else "cuda")

        return tree.map_structure(place, arguments)

    def compiled_call(
        self, model: keras.Model, arguments: Any, kind: str, jit: bool = False
    ) -> Callable[[], None]:
        torch = self._torch
        batch = self._place(arguments, kind)

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


def _as_predict_would(model: keras.Model) -> bool:
    if not model.compiled:
        # Asking notes the answer on the model, which is the user's: ask another with its layers.
        model = keras.Model(model.inputs, model.outputs)
    return bool(model.jit_compile)


_BACKENDS: dict[str, Callable[[], Backend]] = {
    "tensorflow": TensorFlow,
    "jax": Jax,
    "torch": Torch,
}
