"""The tolerance that is suggested for kito.yaml where a comparison did not pass.

The suggestion is a line to paste: with it the check passes. There is no suggestion where a
tolerance would hide that two models compute different functions:

- the difference is more than 100 times the default tolerance, a hundredth of the output's scale in
  float32: rounding is never that large;
- with that tolerance the comparison could not fail, because the output varies too little.

Where the float64 run has shown that the difference is not rounding, the line says so in a comment,
which stays beside the tolerance for the next reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

from kito.equivalence.result import OutputComparison

NO_ROUNDING = 100
"""Rounding never exceeds the default tolerance this many times."""
_Pair = tuple[float, float]
"""(rtol, atol)."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


@dataclass(frozen=True)
class Advice:
    """What to do about a comparison that did not pass.

    Attributes:
        line: to paste into kito.yaml; None where no line is recommended.
        text: what the line does, or why there is none; may be empty.
    """

    line: str | None = None
    text: str = ""


def about_tolerance(
    outputs: Mapping[str, OutputComparison],
    beyond: Mapping[str, OutputComparison],
    disproved: Mapping[str, _Pair],
    default: float,
) -> Advice:
    """The tolerance with which outputs that differ too much would pass.

    Args:
        outputs: the figures of all outputs, by name.
        beyond: those of the outputs that differ too much.
        disproved: by name, for outputs whose difference is not rounding, as the float64 run showed,
            the RMS errors (original, reduced) that show it.
        default: the default rtol of the models.
    """
    rtols = {name: _least_rtol(x) for name, x in beyond.items()}
    far = {name: rtol for name, rtol in rtols.items() if rtol > NO_ROUNDING * default}
    if far:
        name = max(far, key=lambda x: far[x])
        return Advice(
            text=f"no tolerance is suggested: output '{name}' would need rtol "
            f"{_digits(far[name])}, and that is no rounding: the models compute different "
            "functions. If kito made the second one, that is a bug: please report it, with this "
            "layer"
        )
    for name, rtol in rtols.items():
        if replace(outputs[name], rtol=rtol).insensitive:
            return Advice(
                text=f"no tolerance is suggested: output '{name}' would need rtol {_digits(rtol)}, "
                "which no wrong model could fail, as it varies by only "
                f"{outputs[name].spread:.3g}. Feed more varied inputs first"
            )
    line = _line(outputs, {name: (rtol, outputs[name].atol) for name, rtol in rtols.items()})
    if not disproved:
        return Advice(line, "to allow this difference, write in kito.yaml")
    own, other = max(disproved.values(), key=lambda x: x[1])
    return Advice(
        f"{line}  # no rounding: its error is {other:.2g}, the original's own {own:.2g}",
        "that is no rounding. If kito made the second model, please report it, with this layer; to "
        "allow it all the same, write in kito.yaml",
    )


def about_insensitive(
    outputs: Mapping[str, OutputComparison],
    insensitive: Mapping[str, OutputComparison],
    default: float,
) -> Advice:
    """The narrower tolerance with which insensitive outputs would pass.

    There is none if an output would be insensitive at that tolerance too.

    Args:
        outputs: the figures of all outputs, by name.
        insensitive: those of the outputs that are insensitive.
        default: the default rtol of the models.
    """
    changed: dict[str, _Pair] = {}
    for name, x in insensitive.items():
        exact = replace(x, atol=0.0, required_rtol=x.max_abs / x.scale if x.scale else 0.0)
        rtol = max(default, _least_rtol(exact) if x.max_abs else 0.0)
        if not x.strict or replace(exact, rtol=rtol).insensitive:
            return Advice()
        changed[name] = (rtol, 0.0)
    text = "that tolerance is too wide for what the outputs vary by; write in kito.yaml"
    return Advice(_line(outputs, changed), text)


def rtol_text(value: float) -> str:
    """A tolerance rounded up to two digits."""
    return _digits(_round_up(value)) if 0 < value < float("inf") else f"{value:g}"


def _least_rtol(x: OutputComparison) -> float:
    """The least rtol of two digits with which the output passes, at the atol that it has."""
    if x.required_rtol == float("inf"):
        return x.required_rtol
    rtol = _round_up(x.required_rtol)
    # required_rtol is itself rounded, and may be a little too small.
    return rtol if replace(x, rtol=rtol).passed else _round_up(rtol * (1 + 1e-9))


def _round_up(value: float) -> float:
    exact = Decimal(repr(value))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), ROUND_CEILING))


def _line(outputs: Mapping[str, OutputComparison], changed: Mapping[str, _Pair]) -> str:
    """A whole ``tolerance`` line, to replace the one there is, with some outputs' changed."""
    kept = {name: (x.rtol, x.atol) for name, x in outputs.items() if name not in changed}
    written = {name: pair for name, pair in kept.items() if outputs[name].strict}
    if not kept:
        whole = (max(rtol for rtol, _ in changed.values()), next(iter(changed.values()))[1])
        alike = len({atol for _, atol in changed.values()}) == 1
        if alike and not any(replace(outputs[x], rtol=whole[0]).insensitive for x in changed):
            return f"tolerance: {{{_tolerance(whole)}}}"
    elif written == kept and len(set(kept.values())) == 1:
        whole = next(iter(kept.values()))
        return f"tolerance: {{{_tolerance(whole)}, outputs: {{{_each(changed, whole[1])}}}}}"
    each = {
        name: {**written, **changed}[name] for name in outputs if name in {**written, **changed}
    }
    return f"tolerance: {{outputs: {{{_each(each, 0.0)}}}}}"


def _each(pairs: Mapping[str, _Pair], atol: float) -> str:
    """Outputs by name; ``atol`` is the default that an output needs not repeat."""
    return ", ".join(f"{_key(name)}: {{{_tolerance(x, atol)}}}" for name, x in pairs.items())


def _tolerance(pair: _Pair, atol: float = 0.0) -> str:
    rtol = f"rtol: {_digits(pair[0])}"
    return rtol if pair[1] == atol else f"{rtol}, atol: {_digits(pair[1])}"


def _digits(value: float) -> str:
    """A number as YAML 1.1 reads it: with a point, even before an exponent."""
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _key(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name.lower() not in _WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)
