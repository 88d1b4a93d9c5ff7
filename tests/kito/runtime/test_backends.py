from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from kito.errors import KitoError
from kito.runtime import backends


class Counting(keras.layers.Layer):  # type: ignore[misc]
    """Counts how often Python runs through it: only while tracing."""

    def __init__(self) -> None:
        super().__init__()
        self.traced = 0
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs: Any) -> Any:
        self.traced += 1
        return inputs * self.scale


def counting_model() -> tuple[keras.Model, Counting]:
    layer = Counting()
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs), name="counting")
    layer.traced = 0
    return model, layer


BATCH = np.ones((2, 3), "float32")


def test_a_backend_that_cannot_be_timed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with backends.full_float32():
        """It has nothing to turn off."""
    with pytest.raises(KitoError, match="backend 'numpy' cannot be timed; set KERAS_BACKEND"):
        backends.current()


@pytest.mark.backends("tensorflow")
class TestTensorFlow:
    def test_a_call_is_traced_once_and_before_it_is_made(self) -> None:
        model, layer = counting_model()
        call = backends.TensorFlow().compiled_call(model, BATCH, "cpu")
        assert layer.traced == 1
        call()
        call()
        assert layer.traced == 1

    def test_on_a_gpu_each_call_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import tensorflow as tf

        places: list[str] = []
        waits: list[int] = []

        @contextlib.contextmanager
        def device(name: str) -> Iterator[None]:
            places.append(name)
            yield

        monkeypatch.setattr(tf, "device", device)
        monkeypatch.setattr(tf.test.experimental, "sync_devices", lambda: waits.append(1))
        inputs = keras.Input((3,))
        weightless = keras.Model(inputs, keras.layers.ReLU()(inputs))
        call = backends.TensorFlow().compiled_call(weightless, BATCH, "gpu")
        assert "/GPU:0" in places
        call()
        call()
        assert len(waits) == 2

    def test_weights_on_another_device_are_refused(self) -> None:
        model, _ = counting_model()
        with pytest.raises(KitoError, match=r"model 'counting' are on .*CPU:0, not on the gpu"):
            backends.TensorFlow().compiled_call(model, BATCH, "gpu")

    def test_tells_its_gpus_by_their_makers_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import tensorflow as tf

        gpus = [SimpleNamespace(name="/physical_device:GPU:0"), SimpleNamespace(name="second")]
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {"device_name": "NVIDIA A10G"} if gpu is gpus[0] else {},
        )
        assert backends.TensorFlow().gpu_names() == ["NVIDIA A10G", "second"]

    @pytest.fixture
    def gpu(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """A GPU, and what was done to it; ``started`` is what TensorFlow would say it has."""
        import tensorflow as tf

        gpu = SimpleNamespace(name="GPU:0")
        done: dict[str, Any] = {"started": False, "visible": [gpu], "growing": []}

        def refuse_if_started() -> None:
            if done["started"]:
                raise RuntimeError("devices cannot be modified after being initialized")

        def set_visible(devices: list[Any], kind: str) -> None:
            refuse_if_started()
            done["visible"] = devices

        def set_growth(device: Any, grows: bool) -> None:
            refuse_if_started()
            done["growing"].append((device, grows))

        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: done["visible"])
        monkeypatch.setattr(tf.config, "set_visible_devices", set_visible)
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", set_growth)
        return done

    @pytest.mark.parametrize("kind", ["auto", "gpu"])
    def test_takes_memory_as_it_needs_it(self, kind: str, gpu: dict[str, Any]) -> None:
        backends.TensorFlow().prepare(kind)
        assert gpu["growing"] == [(gpu["visible"][0], True)]

    def test_leaves_a_gpu_that_has_started_as_it_is(self, gpu: dict[str, Any]) -> None:
        gpu["started"] = True
        backends.TensorFlow().prepare("auto")
        assert gpu["growing"] == []

    def test_hides_the_gpu_where_the_cpu_is_chosen(self, gpu: dict[str, Any]) -> None:
        backends.TensorFlow().prepare("cpu")
        assert gpu["visible"] == gpu["growing"] == []
        backends.TensorFlow().prepare("cpu")

    def test_says_when_it_is_too_late_to_choose_the_cpu(self, gpu: dict[str, Any]) -> None:
        gpu["started"] = True
        with pytest.raises(KitoError, match="already started on the GPU: set CUDA_VISIBLE_DEV"):
            backends.TensorFlow().prepare("cpu")

    @pytest.mark.usefixtures("gpu")
    def test_uses_xla_as_declared_or_as_predict_would(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import tensorflow as tf

        model, _ = counting_model()
        gpu = SimpleNamespace(device_type="GPU")
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
        own = backends.TensorFlow()
        state = dict(vars(model))
        assert own.jit(model, "auto", "gpu")
        assert vars(model) == state, "nothing is noted on the user's model"
        assert not own.jit(model, "auto", "cpu")
        assert own.jit(model, "on", "cpu")
        assert not own.jit(model, "off", "gpu")
        model.compile(jit_compile=False)
        assert not own.jit(model, "auto", "gpu")

    def test_a_call_compiled_by_xla_is(self) -> None:
        model, _ = counting_model()
        with pytest.MonkeyPatch.context() as patch:
            import tensorflow as tf

            options: list[dict[str, Any]] = []
            function = tf.function
            patch.setattr(
                tf, "function", lambda x, **more: options.append(more) or function(x, **more)
            )
            backends.TensorFlow().compiled_call(model, BATCH, "cpu", jit=True)()
        assert options == [{"jit_compile": True}]

    def test_a_batch_is_brought_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import tensorflow as tf

        waits: list[int] = []
        monkeypatch.setattr(tf.test.experimental, "sync_devices", lambda: waits.append(1))
        monkeypatch.setattr(tf, "device", contextlib.nullcontext)
        backends.TensorFlow().transfer({"image": BATCH}, "cpu")()
        assert waits == []
        backends.TensorFlow().transfer({"image": BATCH}, "gpu")()
        assert waits == [1]

    @pytest.mark.parametrize(
        "place, kind",
        [("/device:GPU:0", "gpu"), ("/device:CPU:0", "cpu"), (None, "cpu")],
        ids=["a gpu that has float64", "one that leaves it to the cpu", "one that refuses it"],
    )
    def test_float64_is_on_a_gpu_that_has_it(
        self, place: str | None, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import tensorflow as tf

        def matmul(a: Any, b: Any) -> Any:
            if place is None:
                raise tf.errors.InvalidArgumentError(None, None, "no float64")
            return SimpleNamespace(device=f"/job:localhost{place}")

        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a gpu"])
        monkeypatch.setattr(tf, "device", contextlib.nullcontext)
        monkeypatch.setattr(tf.linalg, "matmul", matmul)
        assert backends.TensorFlow().float64_kind() == kind

    def test_float32_is_in_full_where_asked_and_as_before_afterwards(self) -> None:
        import tensorflow as tf

        enabled = tf.config.experimental.tensor_float_32_execution_enabled
        before = enabled()
        with backends.full_float32():
            assert not enabled()
        assert enabled() == before

    def test_float64_is_on_the_device_that_is_asked_for(self) -> None:
        assert backends.TensorFlow().float64_kind() == "cpu"
        with backends.TensorFlow().float64("cpu"):
            assert "CPU:0" in keras.ops.ones((2,), "float64").device


class ImaginaryModel:
    """What the backends use of a model; writes down what happens."""

    trainable_variables = (SimpleNamespace(value="kernel"),)
    non_trainable_variables = (SimpleNamespace(value="mean"),)

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def __call__(self, batch: Any, training: bool) -> str:
        self.log.append(("called", batch, training))
        return "outputs"

    def stateless_call(
        self, trainable: Any, others: Any, batch: Any, training: bool
    ) -> tuple[str, str]:
        self.log.append(("called", trainable, others, batch, training))
        return "outputs", "state"


class TestJax:
    """With a stand-in for the module, which the tests do not need to have installed."""

    @pytest.fixture
    def log(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        log: list[Any] = []

        def devices(kind: str) -> list[Any]:
            if kind == "gpu":
                raise RuntimeError("Unknown backend: 'gpu' requested")
            return [SimpleNamespace(device_kind="cpu")]

        def jit(function: Callable[..., Any]) -> Any:
            compiled = SimpleNamespace(compile=lambda: function)
            return SimpleNamespace(lower=lambda *values: compiled)

        jax = SimpleNamespace(
            __version__="0.0",
            devices=devices,
            jit=jit,
            device_put=lambda values, device: values,
            block_until_ready=lambda outputs: log.append(("waited", outputs)),
            config=SimpleNamespace(update=lambda key, value: log.append((key, value))),
        )
        monkeypatch.setitem(sys.modules, "jax", jax)
        return log

    def test_a_call_takes_the_weights_and_waits(self, log: list[Any]) -> None:
        call = backends.Jax().compiled_call(ImaginaryModel(log), "batch", "cpu")
        call()
        assert log == [("called", ["kernel"], ["mean"], "batch", False), ("waited", "outputs")]

    @pytest.mark.usefixtures("log")
    def test_without_a_gpu(self) -> None:
        assert backends.Jax().gpu_names() == []

    def test_brings_a_batch_over_and_waits(self, log: list[Any]) -> None:
        backends.Jax().transfer("batch", "cpu")()
        assert log == [("waited", "batch")]

    def test_chooses_the_cpu_and_takes_no_whole_card(
        self, log: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "x")
        monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE")
        backends.Jax().prepare("auto")
        assert (log, os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"]) == ([], "false")
        backends.Jax().prepare("cpu")
        assert log == [("jax_platforms", "cpu")]

    def test_float32_is_in_full(self, log: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        scope = contextlib.nullcontext("a scope")
        by_name = {"highest": scope}
        monkeypatch.setattr(
            sys.modules["jax"], "default_matmul_precision", by_name.__getitem__, raising=False
        )
        assert backends.Jax().full_float32() is scope

    def test_always_compiles_with_xla(self, log: list[Any]) -> None:
        model = ImaginaryModel(log)
        assert backends.Jax().jit(model, "auto", "cpu")
        with pytest.raises(KitoError, match="JAX compiles with XLA only: set jit: auto or on"):
            backends.Jax().jit(model, "off", "gpu")

    @pytest.mark.parametrize("name, kind", [("gpu", "gpu"), ("cpu", "cpu"), ("tpu", "cpu")])
    @pytest.mark.parametrize("home", ["jax", "jax.experimental"])
    def test_float64_is_asked_for_and_where(
        self, name: str, kind: str, home: str, log: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @contextlib.contextmanager
        def enable_x64(on: bool) -> Iterator[None]:
            log.append(("x64", on))
            yield
            log.append("as before")

        owner = sys.modules["jax"]
        if home != "jax":
            owner = SimpleNamespace()  # type: ignore[assignment]
            monkeypatch.setitem(sys.modules, home, owner)
        monkeypatch.setattr(owner, "enable_x64", enable_x64, raising=False)
        monkeypatch.setattr(sys.modules["jax"], "default_backend", lambda: name, raising=False)
        jax = backends.Jax()
        assert jax.float64_kind() == kind
        monkeypatch.setattr(keras, "device", lambda place: _entering(log, place))
        with jax.float64(kind):
            log.append("inside")
        assert log == [("x64", True), f"{kind}:0", "inside", "as before"]


class TestTorch:
    """With a stand-in for the module, which the tests do not need to have installed."""

    @pytest.fixture
    def log(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        log: list[Any] = []
        cuda = SimpleNamespace(
            is_available=lambda: True,
            device_count=lambda: 2,
            get_device_name=lambda index: f"Imaginary {index}",
            synchronize=lambda: log.append("waited"),
        )

        @contextlib.contextmanager
        def inference_mode() -> Iterator[None]:
            log.append("inference")
            yield

        torch = SimpleNamespace(
            __version__="0.0",
            cuda=cuda,
            inference_mode=inference_mode,
            get_num_threads=lambda: 3,
            tensor=lambda array, device: f"on {device}",
        )
        monkeypatch.setitem(sys.modules, "torch", torch)
        monkeypatch.setattr(keras, "device", contextlib.nullcontext)
        return log

    @pytest.mark.parametrize(
        "kind, place, waits", [("cpu", "cpu", []), ("gpu", "cuda", ["waited"])]
    )
    def test_a_call_is_in_inference_mode_and_waits(
        self, kind: str, place: str, waits: list[str], log: list[Any]
    ) -> None:
        call = backends.Torch().compiled_call(ImaginaryModel(log), BATCH, kind)
        call()
        assert log == ["inference", ("called", f"on {place}", False), *waits]

    @pytest.mark.usefixtures("log")
    def test_tells_its_gpus_and_threads(self) -> None:
        assert backends.Torch().gpu_names() == ["Imaginary 0", "Imaginary 1"]
        assert backends.Torch().threads() == 3

    def test_brings_a_batch_over_and_waits(self, log: list[Any]) -> None:
        backends.Torch().transfer(BATCH, "gpu")()
        assert log == ["waited"]

    @pytest.mark.usefixtures("log")
    def test_cannot_choose_the_cpu_any_more(self) -> None:
        backends.Torch().prepare("gpu")
        with pytest.raises(KitoError, match="on the GPU already: set CUDA_VISIBLE_DEVICES=-1"):
            backends.Torch().prepare("cpu")

    def test_compiles_on_request_only(self, log: list[Any]) -> None:
        wanted = ("auto", "on", "off")
        assert [backends.Torch().jit(ImaginaryModel(log), x, "gpu") for x in wanted] == [
            False,
            True,
            False,
        ]

    @pytest.mark.usefixtures("log")
    def test_float32_is_in_full_within_a_scope(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cudnn, products = SimpleNamespace(allow_tf32=True), SimpleNamespace(allow_tf32=False)
        flags = SimpleNamespace(cudnn=cudnn, cuda=SimpleNamespace(matmul=products))
        monkeypatch.setattr(sys.modules["torch"], "backends", flags, raising=False)
        with backends.Torch().full_float32():
            assert not cudnn.allow_tf32
        assert (cudnn.allow_tf32, products.allow_tf32) == (True, False)

    @pytest.mark.usefixtures("log")
    def test_leaves_precisions_that_were_set_one_by_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Mixed:
            def __getattr__(self, name: str) -> bool:
                raise RuntimeError("mixed use of the legacy and new APIs")

        flags = SimpleNamespace(cudnn=Mixed(), cuda=SimpleNamespace(matmul=Mixed()))
        monkeypatch.setattr(sys.modules["torch"], "backends", flags, raising=False)
        with backends.Torch().full_float32():
            assert vars(flags.cudnn) == {}

    def test_float64_is_on_cuda_or_the_cpu(
        self, log: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keras, "device", lambda place: _entering(log, place))
        torch = backends.Torch()
        assert torch.float64_kind() == "gpu"
        with torch.float64("gpu"):
            assert log == ["gpu:0"]
        # Keras would take Apple's GPU, which has no float64.
        monkeypatch.setattr(sys.modules["torch"].cuda, "is_available", lambda: False)
        assert torch.float64_kind() == "cpu"


@pytest.mark.backends("torch")
def test_on_the_cpu_pytorch_copies_no_weight() -> None:
    with backends.Torch().float64("cpu"):
        dense = keras.layers.Dense(2)
        dense.build((None, 3))
        weight = dense.kernel.value
        assert type(weight).__name__ == "Parameter"
        assert keras.ops.convert_to_tensor(weight) is weight


@contextlib.contextmanager
def _entering(log: list[Any], place: str) -> Iterator[None]:
    log.append(place)
    yield
