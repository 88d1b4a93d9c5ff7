"""What a caller pays beside the compiled call: bringing a batch to the device, and ``predict``.

Reducing a model changes neither, so neither is part of a speed-up. They say how much of the
speed-up is left for somebody who calls the model that way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from kito.graph.torch_model import TorchModel
from kito.runtime.batch import Inputs, call_arguments, sample_count
from kito.runtime.devices import Device, transfer_call

CALLS = 5
"""Calls of each that are timed, at most."""


@dataclass(frozen=True)
class Overheads:
    """Medians, in milliseconds; None where the call fails.

    Attributes:
        transfer_ms: one batch from the host to the device.
        predict_ms: ``model.predict`` on that batch, from the host and back to it; PyTorch modules
            have none.
    """

    transfer_ms: float | None
    predict_ms: float | None


def measure_overheads(
    model: keras.Model,
    batch: Inputs,
    device: Device,
    clock: Callable[[], float],
    limit_s: float,
) -> Overheads:
    """Time the transfer of a batch and ``predict`` on it, a few calls each.

    Args:
        model: a built functional or Sequential model; it is left unchanged.
        batch: by input name, first axis = samples.
        device: where it runs.
        clock: seconds from any start.
        limit_s: for each of the two, no call begins after so many seconds; one is always timed.
    """
    transfer_ms = _median_ms(transfer_call(model, batch, device), clock, limit_s)
    if isinstance(model, TorchModel):
        return Overheads(transfer_ms, None)
    # predict stores its compiled function on the model: on this one, not on the caller's.
    if isinstance(model, keras.Sequential):  # one that was not called yet has no ``input``
        ends = model.inputs[0], model.outputs[0]
    else:
        ends = model.input, model.output
    own = keras.Model(*ends, name=model.name)
    size = sample_count(batch)

    def predict() -> None:
        own.predict(call_arguments(own, batch), batch_size=size, verbose=0)

    return Overheads(transfer_ms, _median_ms(predict, clock, limit_s))


def _median_ms(
    call: Callable[[], object], clock: Callable[[], float], limit_s: float
) -> float | None:
    times: list[float] = []
    try:
        call()  # traces, or starts what the call needs
        begin = clock()
        while len(times) < CALLS and (not times or clock() - begin < limit_s):
            start = clock()
            call()
            times.append(clock() - start)
    except Exception:  # overheads are not judged, and the compiled call has worked
        return None
    return float(np.median(times)) * 1000
