"""What ``kito explain`` shows: what folds into what, what stays and why, to fit a screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from kito.errors import counted
from pytest_kito.cli.tree import Branch, Page
from pytest_kito.reports.reasons import Group, grouped

if TYPE_CHECKING:
    from kito.rewrite.patterns import Pattern
    from kito.rewrite.reduction import Reduction
    from kito.rewrite.torch.reduce import TorchReduction

_MOST_GROUPS = 8
"""Groups of one heading that are shown; the others only with ``--all``."""


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


def explain_module(reduction: TorchReduction, every: bool, more: Iterable[str] = ()) -> Page:
    """The page of the reduction of a PyTorch module.

    Args:
        reduction: what :func:`kito.reduce_torch` returned.
        every: whether every module has a line of its own.
        more: lines that stand below.
    """
    branches = []
    if reduction.precomputed:
        what = "of the batchnorms became x * scale + shift"
        branches.append(Branch(counted(reduction.precomputed, what, what)))
    for name in dict.fromkeys(x.pass_name for x in reduction.rewrites):
        done = [x for x in reduction.rewrites if x.pass_name == name]
        lines = [Branch(_rewrite(x.layers, x.into)) for x in done if every]
        branches.append(_section(f"{name}: {counted(len(done), 'rewrite')}", lines, every))
    if reduction.parts:
        parts = map(Branch, reduction.parts)
        branches.append(_section(f"reduced apart: {len(reduction.parts)}", parts, every))
    kept = [(x.layer, x.reason) for x in reduction.kept]
    if kept:
        told = [f"{x}: {why}" for x, why in kept] if every else group_reasons(kept, {})
        branches.append(_section(f"kept: {len(kept)}", map(Branch, told), every))
    branches += map(Branch, more)
    title = f"{type(reduction.original).__name__}: reduced in {reduction.seconds:.2f} s"
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


def group_reasons(reasons: Iterable[tuple[str, str]], kinds: Mapping[str, str]) -> list[str]:
    """A line for each reason, the most frequent first.

    Args:
        reasons: names of layers, each with the reason why it stays.
        kinds: the types of layers, by name.
    """
    return [_reason_line(group) for group in grouped(reasons, kinds)]


def _reason_line(group: Group) -> str:
    from kito.rewrite.patterns import abbreviate

    if len(group.layers) == 1:
        return f"{group.layers[0]}: {group.reason}"
    what = f"{group.kind} layers" if group.kind else "layers"
    return f"{len(group.layers)} {what} ({abbreviate(group.layers)}): {group.reason}"
