"""What the simulated GPU of the other tests stands for, on a real one."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import keras
import numpy as np
import pytest

import kito
from kito.graph.keras_patches import kept_float64
from kito.runtime import backends, nvml
from kito.runtime.devices import Device, compiled_call, environment, transfer_call, uses_jit
from kito.runtime.random_inputs import random_inputs
from kito.runtime.random_weights import randomize_weights


def network(blocks: int = 3, filters: int = 64) -> keras.Model:
    """Convolutions with BatchNormalization, ReLU and a residual, with random statistics."""
    layers = keras.layers
    x = start = keras.Input((64, 64, 3))
    for index in range(blocks):
        shortcut = x
        x = layers.ZeroPadding2D()(x)
        x = layers.Conv2D(filters, 3, use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        if index:
            x = layers.Add()([x, shortcut])
    model = keras.Model(start, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))
    randomize_weights(model, random_inputs(model, samples=8, seed=1), seed=2)
    return model


def products(count: int, size: int = 4096) -> keras.Model:
    """As many products of large matrices, one after the other."""
    x = start = keras.Input((size,), name="rows")
    for _ in range(count):
        x = keras.layers.Dense(size, use_bias=False)(x)
    return keras.Model(start, x)


def median_s(call: Callable[[], None], rounds: int = 9) -> float:
    seconds = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        seconds.append(perf_counter() - start)
    return statistics.median(seconds)


def test_the_gpu_is_found_and_told(gpu: Device) -> None:
    pytest.importorskip("pynvml")
    assert (gpu.kind, bool(gpu.name), bool(gpu.driver)) == ("gpu", True, True)
    told = environment(gpu)
    assert told["device_name"] == gpu.name
    assert told["clocks_mhz"]["sm"][1] >= told["clocks_mhz"]["sm"][0] > 0
    assert told["power_w"] > 0
    assert 0 < told["temperature_c"] < 120


def test_a_call_returns_when_the_gpu_has_finished(gpu: Device) -> None:
    """A call that only queued its work would take as long with four times the work."""
    batch = {"rows": np.ones((4096, 4096), "float32")}
    few, many = (median_s(compiled_call(products(count), batch, gpu)) for count in (2, 8))
    assert many > 2 * few


def test_copying_a_batch_is_part_of_its_call(gpu: Device) -> None:
    model = products(1, 1024)
    small, large = (
        median_s(transfer_call(model, {"rows": np.ones((count, 1024), "float32")}, gpu))
        for count in (1024, 64 * 1024)
    )
    assert large > 4 * small


def test_the_state_is_watched_under_load(gpu: Device) -> None:
    pytest.importorskip("pynvml")
    model = products(8)
    call = compiled_call(model, {"rows": np.ones((4096, 4096), "float32")}, gpu)
    watch = nvml.GpuWatch(clock=iter(range(100)).__next__)
    for _ in range(20):
        call()
        watch.look()
    figures = watch.figures()
    assert figures is not None
    assert figures["power_w"][1] > 50
    assert len(figures["clocks_mhz"]["sm"]) == 3


def test_float64_is_float64(gpu: Device) -> None:
    backend = backends.current()
    assert backend.float64_kind() == "gpu"
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 512, 512))
    with backend.float64("gpu"), kept_float64():
        product = np.asarray(keras.ops.convert_to_numpy(keras.ops.matmul(a, b)))
    assert product.dtype == np.float64
    np.testing.assert_allclose(product, a @ b, rtol=0, atol=1e-11)


def test_rounding_passes_and_a_wrong_fold_fails(gpu: Device) -> None:
    """Convolutions may be computed in TF32 there, with ten bits of mantissa."""
    model = network()
    reduced = kito.reduce(model).model
    right = kito.compare(model, reduced)
    assert right.passed, right
    wrong = kito.reduce(model).model
    kernel = next(x for x in wrong.layers if isinstance(x, keras.layers.Conv2D)).kernel
    value = np.array(keras.ops.convert_to_numpy(kernel))
    value[..., 0] *= 1.05
    kernel.assign(value)
    assert not kito.compare(model, wrong).passed


def test_a_reduced_network_is_timed(gpu: Device) -> None:
    model = network(8)
    estimate = kito.measure_speedup(
        model, kito.reduce(model).model, batch_size=8, minimum=0.5, budget_s=10
    )
    assert estimate.device == gpu
    assert estimate.verdict == "pass", estimate.explanation
    assert estimate.transfer_ms is not None
    assert estimate.transfer_ms > 0


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="other backends compile with XLA")
def test_pytorch_compiles_on_request(gpu: Device) -> None:
    torch = importlib.import_module("torch")
    model = network(4)
    batch = random_inputs(model, samples=8, seed=1)
    assert not uses_jit(model, "auto", gpu)
    assert uses_jit(model, "on", gpu)
    torch._dynamo.utils.counters.clear()
    plain, compiled = (median_s(compiled_call(model, batch, gpu, jit), 30) for jit in (False, True))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert compiled < plain, "a small network waits for Python, which the compiled call does not"


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX alone takes memory beforehand")
def test_memory_is_taken_as_needed(gpu: Device, tmp_path: Path) -> None:
    pytest.importorskip("pynvml")
    script = """
        import os
        os.environ["KERAS_BACKEND"] = "jax"
        import pynvml
        from kito.runtime import devices
        devices.prepare("gpu")
        import keras
        keras.ops.convert_to_numpy(keras.ops.ones((10, 10)))
        pynvml.nvmlInit()
        memory = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0))
        print(memory.used / memory.total)
    """
    out = _python(tmp_path, "-c", textwrap.dedent(script), XLA_PYTHON_CLIENT_PREALLOCATE=None)
    assert float(out.split()[-1]) < 0.3


def test_the_gate_on_the_gpu(gpu: Device, tmp_path: Path) -> None:
    """All of ``pytest --kito-check``, in a repository of one model."""
    (tmp_path / "nets.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_gpu import network\n"
    )
    (tmp_path / "kito.yaml").write_text(
        textwrap.dedent("""\
            version: 1
            models:
              small:
                source: "nets:network"
                speedup: {min: 0.5, device: gpu, batch_size: [1, 8], budget_s: 5}
                artifacts: [keras]
        """)
    )
    _python(
        tmp_path,
        *("-m", "pytest", "--kito-check", "--kito-report=report.json"),
        *("--kito-artifacts=out", "-q", "-p", "no:cacheprovider"),
    )
    report = json.loads((tmp_path / "report.json").read_text())
    [model] = report["models"]
    assert report["environment"]["device_name"] == gpu.name
    assert [x["batch_size"] for x in model["speedup"]] == [1, 8]
    for data in model["speedup"]:
        assert data["verdict"] == "pass"
        assert data["gpu"]["clocks_mhz"]["sm"][0] > 0
    assert list((tmp_path / "out").rglob("*.keras"))


def _python(folder: Path, *args: str, **variables: Any) -> str:
    """Run Python on the same backend, and return what it printed.

    Raises:
        AssertionError: it failed; the message ends with what it printed.
    """
    environ = {**os.environ, "KERAS_BACKEND": keras.backend.backend(), **variables}
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env={key: value for key, value in environ.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
