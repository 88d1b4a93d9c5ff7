"""What ``kito explain`` shows: what folds into what, what stays and why, to fit a screen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from kito.errors import counted
from pytest_kito.cli.tree import Branch, Page

if TYPE_CHECKING:
    from kito.rewrite.patterns import Pattern
    from kito.rewrite.reduction import Reduction

_MOST_GROUPS = 8
"""Groups of one heading that are shown; the others only with ``--all``."""
_NUMBER = re.compile(r"(?<![\w.'])-?\d[\d,.]*(e[+-]?\d+)?\b")
_QUOTED = re.compile(r"'([^']*)'")
_LIST = re.compile(r"(?P<before>went into |\d+ times: )(?P<names>[^;]+)")
"""Where a reason of :mod:`kito.rewrite` lists layers."""
_Reasons = Iterable[tuple[str, str]]
"""The name of a layer, and why it stays."""


def explain_reduction(reduction: Reduction, every: bool, more: Iterable[str] = ()) -> Page:
    """The page of a reduction.

    Args:
        reduction: what :func:`kito.reduce` returned.
        every: whether every layer has a line of its own; otherwise those with the same story share
            one.
        more: lines that stand below.
    """
    kept = [(x.layer, x.reason) for x in reduction.kept]
    shared = [(x.layer, x.reason) for x in reduction.shared]
    kinds = _kinds(reduction)
    branches = [*_totals(reduction), *_passes(reduction, every)]
    for title, reasons in (("kept", kept), ("shared", shared)):
        if reasons:
            lines = [f"{layer}: {reason}" for layer, reason in reasons]
            lines = lines if every else group_reasons(reasons, kinds)
            branches.append(_section(f"{title}: {len(reasons)}", map(Branch, lines), every))
    branches += map(Branch, more)
    title = f"{reduction.original.name}: reduced in {reduction.seconds:.2f} s"
    return Page(title, reduction.sizes(), branches)


def _totals(reduction: Reduction) -> Iterator[Branch]:
    from kito.rewrite.patterns import abbreviate, saving

    if reduction.opened:
        names = abbreviate(reduction.opened)
        yield Branch(f"opened: {counted(len(reduction.opened), 'layer')} ({names})")
    if reduction.precomputed:
        one = "of the batchnorms is a Rescaling now"
        many = "of the batchnorms are a Rescaling now"
        yield Branch(counted(reduction.precomputed, one, many))
    if reduction.patterns:
        yield Branch(f"in all: {saving(reduction.patterns)}", style="green")


def _passes(reduction: Reduction, every: bool) -> Iterator[Branch]:
    from kito.rewrite.patterns import saving

    for name in dict.fromkeys(x.pass_name for x in reduction.patterns):
        patterns = [x for x in reduction.patterns if x.pass_name == name]
        done = [x for x in reduction.rewrites if x.pass_name == name]
        branches = [_pattern(x) for x in patterns]
        if every:
            branches = [Branch(_rewrite(x.layers, x.into)) for x in done]
        yield _section(
            f"{name}: {counted(len(done), 'rewrite')}; {saving(patterns)}", branches, every
        )


def _pattern(pattern: Pattern) -> Branch:
    return Branch(pattern.title(), [Branch(pattern.saving(), style="green")])


def _rewrite(layers: Sequence[str], into: str | None) -> str:
    return f"{', '.join(layers) or 'a bias'}{f' -> {into}' if into else ''}"


def _section(title: str, branches: Iterable[Branch], every: bool) -> Branch:
    shown = list(branches)
    if len(shown) > _MOST_GROUPS + 1 and not every:
        more = Branch(f"and {len(shown) - _MOST_GROUPS} more kinds: --all lists every layer")
        shown = [*shown[:_MOST_GROUPS], more]
    return Branch(title, shown, style="bold")


def _kinds(reduction: Reduction) -> dict[str, str]:
    """The types of all layers before and after, by name."""
    from kito.graph.keras_internals import all_layers

    every = [*all_layers(reduction.model), *all_layers(reduction.original)]
    return {x.name: type(x).__name__ for x in every}


def group_reasons(reasons: _Reasons, kinds: Mapping[str, str]) -> list[str]:
    """A line for each reason, the most frequent first.

    Reasons are the same where they differ in numbers and in names of layers only.

    Args:
        reasons: names of layers, each with the reason why it stays.
        kinds: the types of layers, by name.
    """
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for layer, reason in reasons:
        key = (kinds.get(layer, ""), _NUMBER.sub("..", _general(reason, kinds)))
        groups.setdefault(key, []).append((layer, reason))
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [_reason_line(*key, members, kinds) for key, members in ordered]


def _reason_line(
    kind: str, general: str, members: Sequence[tuple[str, str]], kinds: Mapping[str, str]
) -> str:
    from kito.rewrite.patterns import abbreviate

    if len(members) == 1:
        [(layer, reason)] = members
        return f"{layer}: {reason}"
    texts = {_general(reason, kinds) for _, reason in members}
    text = texts.pop() if len(texts) == 1 else general
    names = abbreviate([layer for layer, _ in members])
    what = f"{kind} layers" if kind else "layers"
    return f"{len(members)} {what} ({names}): {text}"


def _general(reason: str, kinds: Mapping[str, str]) -> str:
    """The reason with the types of layers in the place of their names."""

    def kind(found: re.Match[str]) -> str:
        return kinds.get(found[1], found[0])

    def listed(found: re.Match[str]) -> str:
        names = [name.strip("'") for name in found["names"].split(", ")]
        return found["before"] + ", ".join(sorted({kinds.get(x, x) for x in names}))

    text = _QUOTED.sub(kind, _LIST.sub(listed, reason))
    # "'softmax' (Softmax)" says it twice then.
    return re.sub(r"\b(\w+) \(\1\)", r"\1", text)
