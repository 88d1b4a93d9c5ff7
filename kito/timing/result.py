"""What ``measure_speedup()`` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kito.errors import html_table
from kito.runtime.devices import Device
from kito.timing.protocol import Verdict


@dataclass(frozen=True)
class SpeedupEstimate:
    """How many times as fast the reduced model is, and how sure that is.

    Attributes:
        ratio: time of the original / time of the reduced model; median over the pairs.
        low: low end of the interval of ``ratio``.
        high: high end of the interval of ``ratio``. With fewer than about 7 pairs no interval is as
            sure as ``confidence``; then ``low`` and ``high`` are the least and the greatest ratio,
            and there is no verdict on them.
        noise_floor: how far from 1 the original's ratio to itself, compiled once more, can seem to
            be on this machine: ``max(1 - low, high - 1)`` of the interval of that ratio, from the
            same rounds.
        verdict: ``pass`` where ``low`` reaches the minimum, ``fail`` where ``high`` does not,
            ``inconclusive`` where the budget ended before either; None without a minimum. Where the
            minimum is above 1 and within the noise floor, the whole interval must moreover lie
            outside the noise floor.
        original_ms: median and 90th percentile of the original's call, in milliseconds.
        reduced_ms: median and 90th percentile of the reduced model's call, in milliseconds.
        pairs: how many pairs of calls were timed.
        device: what it was measured on.
        batch_size: samples per call.
        minimum: the ratio to reach, or None.
        confidence: of the interval, for all looks at it together.
        seconds: what the measurement took, tracing and warm-up included.
        explanation: the verdict in a sentence.
        warnings: what makes the figures doubtful, such as a GPU whose clock fell; mostly empty.
        jit: whether XLA compiled the Keras models; None where there was none.
        threads: how many threads one operation may use on the CPU.
        transfer_ms: median time to bring the batch to the device, in milliseconds; not part of the
            ratio. None where it could not be measured.
        predict_ms: median time of the reduced model's ``predict`` on the batch, in milliseconds;
            not part of the ratio. None where it could not be measured.
        gpu: clocks, power, temperature and throttling during the timing (see
            :meth:`kito.runtime.nvml.GpuWatch.figures`); None on a CPU, and where NVML reports
            nothing.
        engine: what ran the reduced model: ``keras``, or the format of a file.
        against: what ran the original, likewise.
        engine_version: the version of the engine; None for Keras.
        provider: what the engine ran the files on, in its own words; None for Keras.
        precision: what the engine computed in, such as ``f32``; None for Keras.
        original_quantiles_ms: how the original's calls are distributed: their quantiles at 0, 5,
            ... 100 %, in milliseconds (see :func:`quantiles`).
        reduced_quantiles_ms: the same of the reduced model's calls.
    """

    ratio: float
    low: float
    high: float
    noise_floor: float
    verdict: Verdict | None
    original_ms: tuple[float, float]
    reduced_ms: tuple[float, float]
    pairs: int
    device: Device
    batch_size: int
    minimum: float | None
    confidence: float
    seconds: float
    explanation: str
    warnings: tuple[str, ...]
    jit: bool | None
    threads: int
    transfer_ms: float | None
    predict_ms: float | None
    gpu: dict[str, Any] | None
    engine: str = "keras"
    against: str = "keras"
    engine_version: str | None = None
    provider: str | None = None
    precision: str | None = None
    original_quantiles_ms: tuple[float, ...] = ()
    reduced_quantiles_ms: tuple[float, ...] = ()

    def rows(self) -> list[tuple[str, ...]]:
        """The rows of a table for people, headings first: the latencies of both models."""
        rows: list[tuple[str, ...]] = [("", "median", "90th percentile")]
        for name, times in (("original", self.original_ms), ("reduced", self.reduced_ms)):
            rows.append((name, *(f"{value:.3f} ms" for value in times)))
        return rows

    def _repr_html_(self) -> str:
        """The ratio, both latencies and the verdict, for a notebook."""
        caption = (
            f"Speed-up: {self.ratio:.3f}x, {self.confidence:.0%} interval [{self.low:.3f}, "
            f"{self.high:.3f}], noise floor {self.noise_floor:.3f}"
        )
        run = f"{self.pairs} pairs at batch {self.batch_size} on '{self.device.name}'"
        verdict = [] if self.verdict is None else [f"{self.verdict}: {self.explanation}"]
        return html_table(caption, self.rows(), [run, *verdict, *self.warnings])

    def to_dict(self) -> dict[str, Any]:
        """Plain data: an entry of ``speedup`` of the JSON report."""
        return {
            "batch_size": self.batch_size,
            "ratio": self.ratio,
            "low": self.low,
            "high": self.high,
            "noise_floor": self.noise_floor,
            "minimum": self.minimum,
            "verdict": self.verdict,
            "explanation": self.explanation,
            "warnings": list(self.warnings),
            "confidence": self.confidence,
            "original_ms": list(self.original_ms),
            "reduced_ms": list(self.reduced_ms),
            "pairs": self.pairs,
            "skipped": None,
            "device_name": self.device.name,
            "jit": self.jit,
            "threads": self.threads,
            "transfer_ms": self.transfer_ms,
            "predict_ms": self.predict_ms,
            "gpu": self.gpu,
            "engine": self.engine,
            "against": self.against,
            "engine_version": self.engine_version,
            "provider": self.provider,
            "precision": self.precision,
            "original_quantiles_ms": list(self.original_quantiles_ms),
            "reduced_quantiles_ms": list(self.reduced_quantiles_ms),
        }


def milliseconds(seconds: tuple[float, ...]) -> tuple[float, float]:
    """Median and 90th percentile."""
    median, upper = np.percentile(seconds, (50, 90)) * 1000
    return float(median), float(upper)


def quantiles(seconds: tuple[float, ...]) -> tuple[float, ...]:
    """The quantiles at 0, 5, ... 100 %, in milliseconds with four digits.

    They stand for the distribution: all calls of a long measurement would be thousands of numbers.
    """
    found = np.percentile(seconds, range(0, 101, 5)) * 1000
    return tuple(float(f"{value:.4g}") for value in found)
