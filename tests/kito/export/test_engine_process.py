"""Engines in a process of their own: whatever they do there, this process goes on.

The engine is a simulated one, with a clock of its own. What its file holds is what it does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from kito.errors import KitoError
from kito.export.engine_speedup import FileSide, measure_in_engine
from kito.export.engines import process
from kito.export.engines.process import EngineFailedError, EngineProcess, Limits
from kito.export.engines.protocol import NoEngineDeviceError, Settings
from kito.runtime.devices import Device, threads
from kito.timing.protocol import Question
from kito.timing.result import SpeedupEstimate

SIMULATED = """
import os, signal, sys, time, types
import kito.export.engines.worker as worker
from kito.export.engines.protocol import Facts, NoEngineDeviceError

now = 0.0
worker.perf_counter = lambda: now

class File:
    def __init__(self, path, settings):
        self.text = path.read_text()
        provider = self.text if self.text.startswith("provider") else "CPU"
        self.facts = Facts(("x",), (frozenset({"y"}),), "1.0", provider, "f32", settings.threads)
        self.act("load")

    def act(self, when):
        match self.text.split():
            case ["crash", at] if at == when:
                print("an assertion failed\\033[31m", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGSEGV)
            case ["hang", at] if at == when:
                time.sleep(600)
            case ["exit", at] if at == when:
                os._exit(3)
            case ["raise", at] if at == when:
                raise ValueError("the weights are lost")
            case ["device", at] if at == when:
                raise NoEngineDeviceError("there is no such device")

    def run(self, batch):
        print("what an engine prints")
        os.write(1, b"what native code prints")
        return [batch["x"] * 2]

    def prepared(self, batch):
        def call():
            global now
            self.act("call")
            now += float(self.text) if self.text[0].isdigit() else 1.0
        return call

module = types.ModuleType("simulated")
module.load, module.gpu = File, lambda: "Arc"
sys.modules["kito.export.engines.onnx"] = module
"""
BATCH = {"x": np.ones((2, 3), "float32")}


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PROGRAM", f"exec({SIMULATED!r}, globals()); {process.PROGRAM}")


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / f"{text.replace(' ', '-')}.onnx"
        path.write_text(text)
        return path

    return write


def opened(limits: Limits | None = None) -> EngineProcess:
    return EngineProcess("onnx", "ONNX Runtime", Settings("cpu", 2), limits)


def call(engine: EngineProcess, path: Path) -> float:
    engine.load("a", path, "'a'")
    engine.prepare("a", BATCH)
    return engine.call("a")


def side(path: Path) -> FileSide:
    return FileSide(path, BATCH)


def measure(original: Path, reduced: Path) -> SpeedupEstimate:
    question = Question(1.5, budget_s=20)
    cpu = Device("cpu", "EPYC")
    limits = Limits(load=30, call=0.5)
    return measure_in_engine("onnx", cpu, side(original), side(reduced), question, limits=limits)


def test_what_is_printed_does_not_disturb_the_answers(file: Callable[[str], Path]) -> None:
    with opened() as engine:
        facts = engine.load("a", file("1"), "'a'")
        assert (facts.takes, facts.version, facts.threads) == (("x",), "1.0", 2)
        [values] = engine.run("a", BATCH)
        np.testing.assert_array_equal(values, BATCH["x"] * 2)
        assert engine.gpu() == "Arc"


@pytest.mark.parametrize(
    "what, reason",
    [
        ("crash load", r"crashed \(SIGSEGV\) while it loaded 'a': an assertion failed\?\[31m$"),
        ("exit load", r"crashed \(exit code 3\) while it loaded 'a'$"),
        ("raise load", "failed while it loaded 'a': ValueError: the weights are lost$"),
        ("crash call", r"crashed \(SIGSEGV\) while it ran 'a': an assertion failed\?\[31m$"),
        ("hang call", "gave no answer within 0.5 s while it ran 'a'$"),
    ],
)
def test_a_failure_names_what_it_was_doing(
    what: str, reason: str, file: Callable[[str], Path]
) -> None:
    with opened(Limits(load=30, call=0.5)) as engine:
        with pytest.raises(EngineFailedError, match=f"^ONNX Runtime {reason}") as caught:
            call(engine, file(what))
        assert caught.value.key == "a"
        if "raise" not in what:
            with pytest.raises(EngineFailedError):  # and it does not hang
                engine.gpu()


def test_an_engine_that_hangs_while_it_loads_is_ended(file: Callable[[str], Path]) -> None:
    start = monotonic()
    with opened(Limits(load=1, call=1)) as engine:
        with pytest.raises(EngineFailedError, match="no answer within 1 s while it loaded 'a'"):
            engine.load("a", file("hang load"), "'a'")
        child = engine._process
    assert child.poll() is not None
    assert monotonic() - start < 30


def test_a_missing_device_is_an_error_of_its_own(file: Callable[[str], Path]) -> None:
    with opened() as engine, pytest.raises(NoEngineDeviceError, match="there is no such device"):
        engine.load("a", file("device load"), "'a'")


def test_the_process_ends_with_the_block(file: Callable[[str], Path]) -> None:
    with opened() as engine:
        engine.load("a", file("1"), "'a'")
        child = engine._process
    assert child.returncode is not None


def test_only_the_time_in_the_engine_counts(file: Callable[[str], Path]) -> None:
    estimate = measure(file("0.5"), file("0.25"))
    assert (estimate.ratio, estimate.low, estimate.high) == (2.0, 2.0, 2.0)
    assert (estimate.noise_floor, estimate.verdict) == (0.0, "pass")
    assert estimate.original_ms == (500.0, 500.0)
    data = estimate.to_dict()
    facts = {key: data[key] for key in ("engine", "against", "provider", "precision", "jit")}
    assert facts == {
        "engine": "onnx",
        "against": "onnx",
        "provider": "CPU",
        "precision": "f32",
        "jit": None,
    }
    assert data["threads"] == threads()


@pytest.mark.parametrize(
    "original, reduced, key, what",
    [
        ("crash call", "1", "original", "ran the exported original"),
        ("1", "hang call", "reduced", "ran the reduced 'hang-call.onnx'"),
        ("raise load", "1", "original", "loaded the exported original"),
    ],
)
def test_the_side_that_failed_is_known(
    original: str, reduced: str, key: str, what: str, file: Callable[[str], Path]
) -> None:
    with pytest.raises(EngineFailedError, match=what) as caught:
        measure(file(original), file(reduced))
    assert caught.value.key == key


def test_two_providers_are_not_compared(file: Callable[[str], Path]) -> None:
    message = "with provider CPU and the original with provider B: such times cannot be compared"
    with pytest.raises(KitoError, match=message):
        measure(file("provider B"), file("1"))
