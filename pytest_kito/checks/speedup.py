"""The check ``speedup[BATCH]``: which minimum applies to this device, the timing, and the verdict.

A minimum is for a device. On another device the check is skipped with the reason: it never passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kito.errors import counted
from pytest_kito.checks.model_run import ModelRun
from pytest_kito.checks.outcome import CheckFailed, CheckSkipped
from pytest_kito.config.problems import quoted

if TYPE_CHECKING:
    from kito.runtime.devices import Device
    from kito.timing.result import SpeedupEstimate
    from pytest_kito.config.schema import SpeedupSpec


_MEASURED = ("ratio", "low", "high", "noise_floor", "verdict", "original_ms", "reduced_ms")
"""The fields of the section that are null where the check is skipped."""


def check_speedup(
    run: ModelRun,
    batch_size: int,
    device: Device,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Check that the reduced model is faster by the declared minimum, on the declared device.

    Args:
        run: the model.
        batch_size: samples per call.
        device: where this session runs.
        workers: how many processes run tests on this machine at the same time, this one included.
        progress: called between rounds with the number of pairs so far.

    Returns:
        An entry of the section ``speedup`` of the JSON report.

    Raises:
        CheckSkipped: the minimum is for another device.
        CheckFailed: the minimum is not reached, or the timing was inconclusive.
        KitoError: the models cannot be timed.
    """
    from kito.timing.speedup import measure_speedup

    spec = run.spec.speedup
    assert spec is not None
    minimum, reason = minimum_on(spec, device)
    if reason:
        raise CheckSkipped(reason, not_measured(batch_size, minimum, reason, device))
    if not run.comparison().passed:
        raise CheckFailed("not timed: equivalence did not pass")
    estimate = measure_speedup(
        run.original(),
        run.reduced(),
        run.inputs(),
        batch_size=batch_size,
        minimum=minimum,
        confidence=spec.confidence,
        budget_s=spec.budget_s,
        device=device,
        jit=spec.jit,
        progress=progress,
    )
    return judged(estimate, spec, workers)


def judged(estimate: SpeedupEstimate, spec: SpeedupSpec, workers: int) -> dict[str, Any]:
    """The figures of a measurement whose verdict lets the check pass.

    Raises:
        CheckFailed: the minimum is not reached, or the timing was inconclusive.
    """
    data = _figures(estimate, workers)
    if estimate.verdict == "fail":
        raise CheckFailed(_message(estimate, data), data)
    if estimate.verdict == "inconclusive" and spec.on_inconclusive == "fail":
        hint = ". Or set on_inconclusive: warn"
        raise CheckFailed(_message(estimate, data) + hint, data)
    return data


def minimum_on(spec: SpeedupSpec, device: Device) -> tuple[float | None, str]:
    """The minimum that applies to a device, and the reason to skip the check there.

    The reason is empty where the check applies. A device that is named in ``devices`` has its own
    minimum, whatever its kind.
    """
    if device.name in spec.devices:
        return spec.devices[device.name], ""
    here = f"this run is on the {device.kind} {quoted(device.name)}"
    if spec.device not in ("any", device.kind):
        return spec.minimum, f"declared for device: {spec.device}; {here}"
    if spec.minimum is None and spec.devices:
        names = ", ".join(quoted(name) for name in spec.devices)
        return None, f"minimums are declared for {names}; {here}"
    return spec.minimum, ""


def _figures(estimate: SpeedupEstimate, workers: int) -> dict[str, Any]:
    data = {**estimate.to_dict(), "under_load": workers > 1}
    if workers > 1:
        data["warnings"].append(
            f"measured under load: {workers} workers ran tests on this machine; time without -n"
        )
    return data


def _message(estimate: SpeedupEstimate, data: dict[str, Any]) -> str:
    lines = [
        estimate.explanation,
        f"measured: {estimate.ratio:.3f}x, interval [{estimate.low:.3f}, {estimate.high:.3f}], "
        f"noise floor {estimate.noise_floor:.3f}, {counted(estimate.pairs, 'pair')} at batch "
        f"{estimate.batch_size} on {quoted(estimate.device.name)}",
    ]
    return "\n".join([*lines, *data["warnings"]])


def not_measured(
    batch_size: int,
    minimum: float | None,
    reason: str,
    device: Device,
    *,
    engine: str = "keras",
    against: str = "keras",
) -> dict[str, Any]:
    """The figures of a speed-up that is skipped: an entry of the section ``speedup``."""
    return {
        "engine": engine,
        "against": against,
        "batch_size": batch_size,
        **dict.fromkeys(_MEASURED),
        "minimum": minimum,
        "pairs": 0,
        "skipped": reason,
        "device_name": device.name,
    }
