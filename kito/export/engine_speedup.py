"""How much faster one exported file is than another, or than a Keras model, in the file's engine.

The engine runs in a process of its own (:mod:`kito.export.engines.process`). This process decides
whose turn it is, by the protocol of :mod:`kito.timing.paired`; each call is timed where it runs, so
the way between the processes is no part of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from kito.errors import KitoError, describe
from kito.export.engines.process import EngineProcess, Limits
from kito.export.engines.protocol import Facts, Settings
from kito.export.formats.base import LoadedArtifact, bound
from kito.export.formats.interface import Interface
from kito.export.formats.names import FORMAT_NAMES, FormatInfo
from kito.export.opened import Load
from kito.runtime.backends import Jit
from kito.runtime.batch import Inputs, sample_count
from kito.runtime.devices import Device, Kind, compiled_call, threads, uses_jit
from kito.runtime.nvml import GpuWatch
from kito.runtime.processor import cpu_name
from kito.timing.paired import measure_pairs
from kito.timing.protocol import Calls, Question
from kito.timing.result import SpeedupEstimate, milliseconds, quantiles
from kito.timing.speedup import check_arguments
from kito.timing.verdict import explain

_ORIGINAL, _CONTROL, _REDUCED = "original", "control", "reduced"


@dataclass(frozen=True)
class FileSide:
    """A file, run by the engine of its format.

    Attributes:
        path: the file, which is only read.
        batch: what it is called on, by the names of its inputs.
        precision: what it computes in, where the engine itself does not say.
    """

    path: Path
    batch: Inputs
    precision: str = ""


@dataclass(frozen=True)
class KerasSide:
    """A Keras model, run by its backend in this process.

    Attributes:
        model: a built functional model.
        batch: what it is called on.
        jit: see :func:`kito.runtime.devices.uses_jit`.
    """

    model: Any
    batch: Inputs
    jit: Jit = "auto"


def engine_process(info: FormatInfo, kind: Kind, limits: Limits | None = None) -> EngineProcess:
    """A process that runs files of a format, with as many threads as Keras' backend has here."""
    return EngineProcess(info.name, info.engine, Settings(kind, threads()), limits)


def engine_gpu(info: FormatInfo, session: Device) -> Device:
    """The GPU that the engine of a format can use.

    Args:
        info: the format.
        session: the device of Keras' backend; a GPU that the engine does not name is taken for it.

    Raises:
        NoEngineDeviceError: it can use none here.
    """
    with engine_process(info, "gpu") as process:
        name = process.gpu()
    return replace(session, name=name or session.name) if session.kind == "gpu" else _gpu(name)


def _gpu(name: str) -> Device:
    return Device("gpu", name or "GPU")


def cpu() -> Device:
    """The processor, whatever device Keras' backend uses."""
    return Device("cpu", cpu_name())


def loader(process: EngineProcess, info: FormatInfo) -> Load:
    """What loads a file for its proof, as the format does, into the process of its engine."""

    def load(path: Path, scratch: Path, interface: Interface, _: Any) -> LoadedArtifact:
        native = info.implementation().native(path, scratch)
        facts = process.load("proved", native, f"'{path.name}'")
        return bound(facts, lambda batch: process.run("proved", batch), path.name, interface)

    return load


def measure_in_engine(  # noqa: PLR0913 - as measure_speedup()
    artifact_format: str,
    device: Device,
    original: FileSide | KerasSide,
    reduced: FileSide,
    question: Question,
    *,
    progress: Callable[[int], None] | None = None,
    limits: Limits | None = None,
    seed: int = 0,
) -> SpeedupEstimate:
    """Time a file in its engine against another file in the same engine, or against a Keras model.

    Threads, provider and precision of two files are equal. The control of each round is the
    original, loaded or compiled once more. Outputs are not compared here.

    Args:
        artifact_format: one of :data:`kito.export.formats.names.ENGINES`.
        device: what the engine runs on; a Keras model must be on a device of that kind.
        original: the slower side, as it is hoped.
        reduced: the faster one.
        question: the minimum, the confidence and the budget.
        progress: called between rounds with the number of pairs so far.
        limits: how long the engine may take; None for the usual limits.
        seed: of the order within rounds, and of the bootstrap.

    Raises:
        NoEngineDeviceError: the engine cannot use the device.
        EngineFailedError: the engine raised an error, crashed or did not answer; ``key`` is
            ``reduced`` where it was working on that file.
        KitoError: an argument is out of its range, or a side cannot be called on its batch.
    """
    start = perf_counter()
    size = sample_count(reduced.batch)
    check_arguments(size, question, "auto")
    info = FORMAT_NAMES[artifact_format]
    clock, watch = RemoteClock(), GpuWatch()

    def between(pairs: int) -> None:
        if device.kind == "gpu":
            watch.look()
        if progress is not None:
            progress(pairs)

    with engine_process(info, device.kind, limits) as process:
        facts = _load(process, info, _REDUCED, reduced)
        jit = None
        if isinstance(original, FileSide):
            _check_equal(facts, _load(process, info, _ORIGINAL, original), info)
            _load(process, info, _CONTROL, original)
            sides = [_remote(process, key, clock) for key in (_ORIGINAL, _CONTROL)]
        else:
            jit, sides = _compiled(original, device)
        calls = Calls(sides[0], _remote(process, _REDUCED, clock), sides[1])
        rng = np.random.default_rng(seed)
        pairs = measure_pairs(calls, question, rng=rng, clock=clock, between=between)
    return SpeedupEstimate(
        ratio=pairs.ratio,
        low=pairs.low,
        high=pairs.high,
        noise_floor=pairs.noise_floor,
        verdict=pairs.verdict,
        original_ms=milliseconds(pairs.original),
        reduced_ms=milliseconds(pairs.reduced),
        original_quantiles_ms=quantiles(pairs.original),
        reduced_quantiles_ms=quantiles(pairs.reduced),
        pairs=len(pairs.original),
        device=device,
        batch_size=size,
        minimum=question.minimum,
        confidence=question.confidence,
        seconds=perf_counter() - start,
        explanation=explain(pairs, question),
        warnings=tuple(watch.warnings()),
        jit=jit,
        threads=facts.threads or threads(),
        transfer_ms=None,
        predict_ms=None,
        gpu=watch.figures(),
        engine=info.name,
        against=info.name if isinstance(original, FileSide) else "keras",
        engine_version=facts.version,
        provider=facts.provider,
        precision=facts.precision or reduced.precision or None,
    )


class RemoteClock:
    """Seconds for one reader; what ran in another process takes as long as it took there.

    The reading before a call starts it, the one after it ends it; the call reports its seconds with
    :meth:`took`.
    """

    def __init__(self) -> None:
        self._now = perf_counter()
        self._end: float | None = None

    def __call__(self) -> float:
        self._now = perf_counter() if self._end is None else self._end
        self._end = None
        return self._now

    def took(self, seconds: float) -> None:
        """What began at the last reading has taken so long, whenever the next reading is."""
        self._end = self._now + seconds


def _load(process: EngineProcess, info: FormatInfo, key: str, side: FileSide) -> Facts:
    what = f"the reduced '{side.path.name}'" if key == _REDUCED else "the exported original"
    with tempfile.TemporaryDirectory(prefix="kito-") as scratch:
        facts = process.load(key, info.implementation().native(side.path, Path(scratch)), what)
    process.prepare(key, side.batch)
    return facts


def _remote(process: EngineProcess, key: str, clock: RemoteClock) -> Callable[[], None]:
    return lambda: clock.took(process.call(key))


def _check_equal(one: Facts, other: Facts, info: FormatInfo) -> None:
    for what in ("provider", "precision", "threads"):
        a, b = getattr(one, what), getattr(other, what)
        if a != b:
            raise KitoError(
                f"{info.engine} runs the reduced file with {what} {a} and the original with {b}: "
                "such times cannot be compared"
            )


def _compiled(side: KerasSide, device: Device) -> tuple[bool, list[Callable[[], None]]]:
    """Whether XLA compiles the Keras model, its call, and the same call compiled once more."""
    try:
        jit = uses_jit(side.model, side.jit, device)
        return jit, [compiled_call(side.model, side.batch, device, jit) for _ in range(2)]
    except KitoError:
        raise
    except Exception as error:  # whatever a layer or the backend raises
        raise KitoError(
            f"the Keras model '{side.model.name}' cannot be timed on a batch of "
            f"{sample_count(side.batch)}: {describe(error)}"
        ) from error
