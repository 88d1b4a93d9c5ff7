"""The check ``speedup[ENGINE-BATCH]``: an artifact in its engine, against the original.

The other side is the original exported to the same format, in the same engine, or the original
Keras model. A device that the engine cannot use is never replaced by another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError
from pytest_kito.checks.declared import InEngine
from pytest_kito.checks.model_run import ModelRun
from pytest_kito.checks.outcome import CheckFailed, CheckSkipped
from pytest_kito.checks.speedup import judged, minimum_on, not_measured

if TYPE_CHECKING:
    from kito.export.engine_speedup import FileSide, KerasSide
    from kito.export.formats.names import FormatInfo
    from kito.runtime.devices import Device
    from pytest_kito.config.schema import SpeedupSpec

_INSTEAD = "Write against: keras to compare with the Keras model itself"


@dataclass(frozen=True)
class Session:
    """What a check must know of the session that it is part of.

    Attributes:
        device: where Keras' backend runs.
        wanted: the device that the user asked for: ``auto``, ``cpu`` or ``gpu``.
        workers: how many processes run tests on this machine at the same time.
    """

    device: Device
    wanted: str = "auto"
    workers: int = 1


def check_engine_speedup(
    run: ModelRun,
    timing: InEngine,
    session: Session,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Check that the artifact is faster by the declared minimum, in its engine.

    Args:
        run: the model.
        timing: the engine and the batch size.
        session: where it runs.
        progress: called between rounds with the number of pairs so far.

    Returns:
        An entry of the section ``speedup`` of the JSON report.

    Raises:
        CheckSkipped: the minimum is for another device, or there is no original to compare with.
        CheckFailed: the minimum is not reached, the timing was inconclusive, or what comes first
            did not pass.
        KitoError: the artifact cannot be timed.
    """
    from kito.export.engine_speedup import measure_in_engine
    from kito.export.engines.process import EngineFailedError
    from kito.export.engines.protocol import NoEngineDeviceError
    from kito.export.formats.names import available_format
    from kito.timing.protocol import Question

    assert run.spec.speedup is not None
    info = available_format(timing.engine, run.spec.framework)
    own = run.spec.speedup.engines[timing.engine]
    spec = run.spec.speedup.in_engine(timing.engine)
    against = info.name if own.against == "same" else own.against
    device, minimum, reason = _device(spec, info, session)

    def skipped(reason: str) -> CheckSkipped:
        data = not_measured(
            timing.batch_size, minimum, reason, device, engine=info.name, against=against
        )
        return CheckSkipped(reason, data)

    if reason:
        raise skipped(reason)
    if against == "keras" and session.device.kind != device.kind:
        raise skipped(
            f"{info.engine} runs on the {device.kind}, the Keras model on the "
            f"{session.device.kind}: run with --kito-device {device.kind}"
        )
    if not run.comparison().passed:
        raise CheckFailed("not timed: equivalence did not pass")
    if run.artifacts.get(info.name, "unknown") is None:
        raise CheckFailed(f"not timed: artifact[{info.name}] did not pass")
    try:
        original, reduced = _sides(run, timing, info, against)
        estimate = measure_in_engine(
            info.name,
            device,
            original,
            reduced,
            Question(minimum, spec.confidence, spec.budget_s),
            progress=progress,
        )
    except _NoOriginalError as error:
        raise skipped(str(error)) from error
    except NoEngineDeviceError as error:  # it was listed, and could not start
        if session.wanted == "gpu":
            raise CheckFailed(f"a GPU is required: {error}") from error
        raise skipped(f"declared for device: {spec.device}; {error}") from error
    except EngineFailedError as error:
        if error.key in ("original", "control"):
            raise skipped(str(error)) from error
        raise
    return judged(estimate, spec, session.workers)


class _NoOriginalError(Exception):
    """There is no exported original that computes what the original does."""


def _device(
    spec: SpeedupSpec, info: FormatInfo, session: Session
) -> tuple[Device, float | None, str]:
    """The device that the engine runs on, the minimum there, and the reason to skip the check."""
    from kito.export.engine_speedup import cpu, engine_gpu
    from kito.export.engines.protocol import NoEngineDeviceError

    candidates, missing = [cpu()], ""
    asked = spec.device == "gpu" or session.device.kind == "gpu"
    if asked and spec.device != "cpu" and session.wanted != "cpu":
        try:
            candidates.insert(0, engine_gpu(info, session.device))
        except NoEngineDeviceError as error:
            missing = str(error)
            if session.wanted == "gpu":
                raise CheckFailed(f"a GPU is required: {missing}") from error
    reasons = []
    for device in candidates:
        minimum, reason = minimum_on(spec, device)
        if not reason:
            return device, minimum, ""
        reasons.append(reason)
    if missing:
        reasons = [f"declared for device: {spec.device}; {missing}"]
    return candidates[0], minimum_on(spec, candidates[0])[0], reasons[0]


def _sides(
    run: ModelRun, timing: InEngine, info: FormatInfo, against: str
) -> tuple[FileSide | KerasSide, FileSide]:
    """The original and the artifact, each with its batch."""
    from kito.export.engine_speedup import FileSide, KerasSide
    from kito.export.failure import workaround
    from kito.export.proof import least_precise
    from kito.graph.functional import as_functional
    from kito.timing.speedup import timed_batch

    model = as_functional(run.original())
    batch = timed_batch(model, run.inputs(), timing.batch_size)
    precision = least_precise(run.original())
    artifact = run.artifact_file(info.name)
    reduced = FileSide(artifact, batch, precision)
    if against == "keras":
        assert run.spec.speedup is not None
        return KerasSide(model, batch, run.spec.speedup.jit), reduced
    try:
        return FileSide(run.exported_original(info.name), batch, precision), reduced
    except KitoError as error:
        why = str(error).splitlines()[0].removesuffix(workaround(info)).rstrip(". ")
        raise _NoOriginalError(f"the original cannot be timed: {why}. {_INSTEAD}") from error
