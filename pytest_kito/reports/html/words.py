"""Figures as people read them, and plots as sentences for people who do not see them."""

from __future__ import annotations

import math
from datetime import datetime

from pytest_kito.reports.read import OutputPart, SpeedupPart

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNKNOWN = "–"


def scientific(value: float | None) -> str:
    """Two digits and a power of ten, ``1.2e-7``; ``0`` for 0."""
    if value is None:
        return _UNKNOWN
    if value == 0:
        return "0"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}e{int(exponent)}"


def power(value: float) -> str:
    """A power of ten for an axis: ``10⁻⁴``; ``1`` and ``10`` as they are."""
    exponent = round(math.log10(value))
    return f"{value:g}" if 0 <= exponent <= 1 else f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def ratio(value: float | None) -> str:
    """A speed-up: ``1.25×``."""
    return _UNKNOWN if value is None else f"{value:.2f}×"


def interval(x: SpeedupPart) -> str:
    """The interval of a speed-up: ``[1.20, 1.30]``."""
    return _UNKNOWN if x.low is None or x.high is None else f"[{x.low:.2f}, {x.high:.2f}]"


def milliseconds(value: float | None) -> str:
    """A latency with three digits: ``12.3 ms``."""
    return _UNKNOWN if value is None else f"{digits(value)} ms"


def digits(value: float | None) -> str:
    """A number with three digits, and all of those before the point."""
    if value is None:
        return _UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def number(value: float | None) -> str:
    """The value of a metric, with six digits."""
    return _UNKNOWN if value is None else f"{value:.6g}"


def percent(value: float | None) -> str:
    """A part as ``12 %``: two digits, and more only above 100 %."""
    if value is None:
        return _UNKNOWN
    hundredth = value * 100
    if hundredth and hundredth < 0.01:
        return "< 0.01 %"
    return f"{hundredth:,.0f} %" if hundredth >= 100 else f"{hundredth:.2g} %"


def size(count: int | None) -> str:
    """Bytes as ``14.2 MB``."""
    if count is None:
        return _UNKNOWN
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count} bytes"


def short(count: int) -> str:
    """A count as ``25.6M``."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:#.3g}{unit}".replace(f".{unit}", unit)
    return str(count)


def seconds(value: float) -> str:
    """A duration: ``3.2 s``, ``75 s``, ``12 min``."""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:,.0f} min"


def moment(created: str) -> str:
    """``2026-11-26 08:00 UTC``; a text that is no time as it is."""
    try:
        found = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{found:%Y-%m-%d %H:%M}{' UTC' if found.utcoffset() is not None else ''}"


def timing(x: SpeedupPart) -> str:
    """What a speed-up was measured of: ``Keras, batch 32`` or ``onnx, batch 1``."""
    engine = "Keras" if x.engine == "keras" else x.engine
    against = " against Keras" if x.engine != "keras" and x.against == "keras" else ""
    return f"{engine}{against}, batch {x.batch_size}"


def spoken_speedup(x: SpeedupPart) -> str:
    """The figures of a speed-up as a sentence."""
    parts = [f"{timing(x)}: {ratio(x.ratio)} as fast, interval {x.low:.2f} to {x.high:.2f}"]
    if x.noise_floor is not None:
        parts.append(f"noise floor {x.noise_floor:.3f}")
    parts.append("no declared minimum" if x.minimum is None else f"minimum {x.minimum:g}")
    if x.verdict is not None:
        parts.append(f"verdict {x.verdict}")
    return "; ".join(parts)


def spoken_latencies(x: SpeedupPart) -> str:
    """The distributions of a speed-up as a sentence: medians, and where nine of ten calls lie."""
    parts = []
    for name, found in (
        ("original", x.original_quantiles_ms),
        ("reduced", x.reduced_quantiles_ms),
    ):
        last = len(found) - 1
        low, middle, high = (found[round(last * part)] for part in (0.05, 0.5, 0.95))
        parts.append(
            f"{name}: median {milliseconds(middle)}, nine of ten calls between "
            f"{milliseconds(low)} and {milliseconds(high)}"
        )
    return f"{timing(x)}; {'; '.join(parts)}"


def spoken_difference(name: str, x: OutputPart) -> str:
    """The difference of an output as a sentence."""
    text = f"output {name}: largest difference {scientific(x.error)} of its scale"
    return text if x.tolerance is None else f"{text}, allowed {scientific(x.tolerance)}"
