"""The changes between two reports as text: for a terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

from kito.errors import counted, shown
from pytest_kito.reports.changes import Change, number
from pytest_kito.reports.diff import Diff
from pytest_kito.reports.summary import escaped

_LONGEST = 300
"""The most characters of a value."""
_DIGITS = 12
"""How many digits of a SHA-256 tell two files apart for people."""
_COLUMNS = "model", "change", "", "before", "after"


def diff_text(diff: Diff) -> str:
    """The changes by model, aligned in columns; ``!`` marks what got worse."""
    return "\n".join(_text(diff))


def diff_markdown(diff: Diff) -> str:
    """The changes as a table in Markdown, what got worse in bold."""
    lines = [f"### kito: {escaped(headline(diff))}", ""]
    lines += [f"- {escaped(line)}" for line in _header(diff)]
    if diff.changes:
        lines += ["", f"| {' | '.join(_COLUMNS)} |", f"|{' --- |' * len(_COLUMNS)}"]
    for change in diff.changes:
        note = f" ({change.note})" if change.note else ""
        cells = [
            escaped(x) for x in (change.model, change.kind, change.what, *values(change), note)
        ]
        after = f"**{cells[4]}**" if change.worse else cells[4]
        lines.append(f"| {' | '.join([*cells[:4], after + cells[5]])} |")
    return "\n".join(lines)


def headline(diff: Diff) -> str:
    """How many things got worse, and how many models changed, in one line."""
    worse = len(diff.worse)
    first = f"{counted(worse, 'thing')} got worse" if worse else "nothing got worse"
    models = {change.model for change in diff.changes} - set(diff.unchanged)
    return f"{first}: {counted(len(models), 'model')} changed, {len(diff.unchanged)} unchanged"


def values(change: Change) -> tuple[str, str]:
    """What was before and what is after, each as a short text; ``-`` where it is not there."""
    form = _FORMS.get(change.kind, str)
    before, after = (
        "-" if value is None else shown(" ".join(form(value).split()), _LONGEST)
        for value in (change.before, change.after)
    )
    return before, after


def _text(diff: Diff) -> Iterator[str]:
    yield headline(diff)
    yield from _header(diff)
    for model, changes in groupby(diff.changes, lambda change: change.model):
        yield ""
        yield shown(model, _LONGEST)
        rows = list(changes)
        kind_width = max(len(change.kind) for change in rows)
        names = [shown(change.what, _LONGEST) for change in rows]
        name_width = min(max(map(len, names)), 32)
        for change, name in zip(rows, names, strict=True):
            before, after = values(change)
            mark = "!" if change.worse else " "
            note = f" ({change.note})" if change.note else ""
            line = f"{change.kind:{kind_width}}  {name:{name_width}}  {before} → {after}{note}"
            yield f"{mark} {line}"
    if diff.worse:
        yield "\n! marks what got worse"


def _header(diff: Diff) -> Iterator[str]:
    for label, facts in (("before", diff.before), ("after", diff.after)):
        version = f", pytest-kito {facts['kito_version']}" if facts["kito_version"] else ""
        ended = ", ended early" if facts["interrupted"] else ""
        line = f"{label}: {facts['file']}, {facts['created']}{version}{ended}"
        yield shown(line, _LONGEST)
    if diff.environment:
        changed = ", ".join(
            f"{shown(key, 40)} {shown(was, 80)} → {shown(now, 80)}"
            for key, (was, now) in diff.environment.items()
        )
        yield f"environment: {shown(changed, 2 * _LONGEST)}"


# ---- values -------------------------------------------------------------------------------------


def _structure(value: Any) -> str:
    """A pair of before and after the reduction, or one number."""
    if isinstance(value, int):
        return f"{value:,}"
    original, reduced = value
    return f"{original:,} to {reduced:,}"


def _difference(value: Mapping[str, Any]) -> str:
    return f"{number(value['max_abs'])} (rtol {number(value['required_rtol'])} would do)"


def _metric(value: Mapping[str, Any]) -> str:
    if value["skipped"] is not None:
        return "skipped"
    figure = "unknown" if value["value"] is None else f"{value['value']:.6g}"
    return f"{figure}{' (failed)' if value['passed'] is False else ''}"


def _artifact(value: Mapping[str, Any]) -> str:
    size = "" if value["bytes"] is None else f"{value['bytes']:,} bytes, "
    return f"{size}sha256 {value['sha256'][:_DIGITS]}"


def _speedup(value: Mapping[str, Any]) -> str:
    if value["low"] is None or value["high"] is None:
        return f"{value['ratio']:.2f}x"
    return f"{value['ratio']:.2f}x [{value['low']:.2f}, {value['high']:.2f}]"


_FORMS: dict[str, Callable[[Any], str]] = {
    "structure": _structure,
    "difference": _difference,
    "metric": _metric,
    "artifact": _artifact,
    "speed-up": _speedup,
}
