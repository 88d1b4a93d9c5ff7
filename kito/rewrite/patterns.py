"""Rewrites of one kind together: what went where, how often, and what that saved.

A pass's saving is the cost of the graph before it less the cost after it, name by name. Each name
belongs to one rewrite, so that the savings of the patterns add up to the saving of the pass: to the
one that removed it, else to the first of those that changed it, where one that removed weights goes
first. So the bias that a convolution gets counts against the BatchNormalization whose shift it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kito.errors import counted, shown
from kito.rewrite.cost import Census, Cost
from kito.rewrite.outcome import Rewrite

BIAS, AFFINE = "bias", "affine"
"""What moved where a rewrite names no layer, and what an earlier rewrite of the pass left in the
place of a layer."""
ADDED, ELSEWHERE = "what it adds", "what else it changes"
"""Layers that no rewrite names: new ones, and others, such as what is precomputed."""
_MOST_KINDS = 3
_MOST_NAMES, _LONGEST_NAME = 3, 50


@dataclass(frozen=True)
class Pattern:
    """Rewrites of one pass that do the same to layers of the same types.

    Attributes:
        pass_name: name of the pass.
        what: the types of the layers that were removed or replaced, such as ``BatchNormalization``.
        into: the types of the layers that do their work now, and where those are, such as ``Conv2D
            before it``; None where there was no work to do.
        rewrites: how many there are.
        layers: names of the layers that were removed or replaced, in order.
        operations: element-wise operations over a whole tensor that were saved.
        multiplications: that were saved for one sample; None where they depend on an open size.
        parameters: elements of weights that were saved. Like the other two, it is below 0 where
            there are more now.
    """

    pass_name: str
    what: str
    into: str | None
    rewrites: int
    layers: tuple[str, ...]
    operations: int
    multiplications: int | None
    parameters: int

    def title(self) -> str:
        """What went where, and how often: ``ReLU -> Conv2D before it: 2 layers (a, b)``."""
        what = self.what if self.into is None else f"{self.what} -> {self.into}"
        if not self.layers:
            return f"{what}: {counted(self.rewrites, 'time')}"
        return f"{what}: {counted(len(self.layers), 'layer')} ({abbreviate(self.layers)})"

    def saving(self) -> str:
        """What was saved, in words."""
        return saving([self])

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "layers": list(self.layers)}


def abbreviate(names: Sequence[str]) -> str:
    """Up to three names, or the first and the last of more."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(shown(name, _LONGEST_NAME) for name in names)
    return f"{shown(names[0], _LONGEST_NAME)} .. {shown(names[-1], _LONGEST_NAME)}"


def saving(patterns: Iterable[Pattern]) -> str:
    """What rewrites saved together, in words; where there is more of something, what they add."""
    total = {"operation": 0, "multiplication": 0, "parameter": 0}
    known = True
    for x in patterns:
        total["operation"] += x.operations
        total["multiplication"] += x.multiplications or 0
        total["parameter"] += x.parameters
        known = known and x.multiplications is not None
    if not known:
        del total["multiplication"]
    texts = []
    for verb, sign in (("saves", 1), ("adds", -1)):
        parts = [
            f"{n * sign:,} {noun}{'s' * (abs(n) > 1)}" for noun, n in total.items() if n * sign > 0
        ]
        texts += [f"{verb} {', '.join(parts)}"] if parts else []
    texts += [] if known else ["multiplications unknown: a size is open"]
    return "; ".join(texts) or "saves no operation"


def find_patterns(
    pass_name: str, rewrites: Sequence[Rewrite], before: Census, after: Census
) -> list[Pattern]:
    """Group the rewrites of one pass, those that come first in the model first.

    Args:
        pass_name: name of the pass.
        rewrites: what it did.
        before: what the calls cost before it.
        after: what they cost after it.
    """
    owners = _owners(rewrites, before)
    bias = next((i for i, x in enumerate(rewrites) if not x.layers), None)
    saved: dict[int | str, Cost] = {}
    others: dict[str, list[str]] = {}
    for name in dict.fromkeys([*before, *after]):
        less = _cost(before, name) - _cost(after, name)
        owner: int | str | None = owners.get(name)
        if owner is None and _same_layer(before, after, name) and _lost_bias_alone(less):
            owner = bias
        if owner is None:
            owner = ELSEWHERE if name in before else ADDED
            if less.operations or less.parameters or less.multiplications != 0:
                others.setdefault(owner, []).append(name)
        saved[owner] = saved.get(owner, Cost()) + less
    groups: dict[tuple[str, str | None], list[int]] = {}
    kinds = {name: entry.kind for name, entry in before.items()}
    for i, rewrite in enumerate(rewrites):
        groups.setdefault(_key(rewrite, before, after, kinds), []).append(i)
        if _in_place(rewrite):
            kinds |= dict.fromkeys(_targets(rewrite), AFFINE)
    found = []
    for (what, into), members in groups.items():
        names = dict.fromkeys(name for i in members for name in rewrites[i].layers)
        cost = _total(saved.get(i, Cost()) for i in members)
        found.append(_pattern(pass_name, (what, into), len(members), names, cost))
    for what, layers in others.items():
        found.append(_pattern(pass_name, (what, None), 0, layers, saved[what]))
    return found


def join(patterns: Iterable[Pattern]) -> tuple[Pattern, ...]:
    """The patterns of several models as those of one."""
    groups: dict[tuple[str, str, str | None], list[Pattern]] = {}
    for x in patterns:
        groups.setdefault((x.pass_name, x.what, x.into), []).append(x)
    return tuple(_joined(group) for group in groups.values())


def _joined(group: Sequence[Pattern]) -> Pattern:
    first = group[0]
    products = [x.multiplications for x in group]
    known = [x for x in products if x is not None]
    return Pattern(
        first.pass_name,
        first.what,
        first.into,
        sum(x.rewrites for x in group),
        tuple(name for x in group for name in x.layers),
        sum(x.operations for x in group),
        sum(known) if len(known) == len(products) else None,
        sum(x.parameters for x in group),
    )


def _pattern(
    pass_name: str, key: tuple[str, str | None], count: int, names: Iterable[str], cost: Cost
) -> Pattern:
    return Pattern(
        pass_name,
        *key,
        rewrites=count,
        layers=tuple(names),
        operations=cost.operations,
        multiplications=cost.multiplications,
        parameters=cost.parameters,
    )


def _owners(rewrites: Sequence[Rewrite], before: Census) -> dict[str, int]:
    """The rewrite to which each name belongs, by its index."""
    owners: dict[str, int] = {}
    for i, rewrite in enumerate(rewrites):
        for name in rewrite.layers:
            owners.setdefault(name, i)

    def has_no_weights(i: int) -> bool:
        return not any(_cost(before, name).parameters for name in rewrites[i].layers)

    for i in sorted(range(len(rewrites)), key=has_no_weights):
        for name in _targets(rewrites[i]):
            owners.setdefault(name, i)
    return owners


def _targets(rewrite: Rewrite) -> list[str]:
    return rewrite.into.split(", ") if rewrite.into else []


def _cost(census: Census, name: str) -> Cost:
    entry = census.get(name)
    return Cost() if entry is None else entry.cost


def _same_layer(before: Census, after: Census, name: str) -> bool:
    return name in before and name in after and before[name].kind == after[name].kind


def _lost_bias_alone(less: Cost) -> bool:
    return less.operations == 1 and less.parameters > 0 and less.multiplications == 0


def _total(costs: Iterable[Cost]) -> Cost:
    return sum(costs, start=Cost())


def _in_place(rewrite: Rewrite) -> bool:
    targets = _targets(rewrite)
    return bool(targets) and set(targets) <= set(rewrite.layers)


def _key(
    rewrite: Rewrite, before: Census, after: Census, kinds: Mapping[str, str]
) -> tuple[str, str | None]:
    """The types of the layers that a rewrite removed, and where their work went.

    ``kinds`` are the types of the layers just before the rewrite, by name.
    """
    removed = dict.fromkeys(kinds[name] for name in rewrite.layers if name in kinds)
    if not rewrite.layers:
        return BIAS, "other biases"
    what = " + ".join(removed) or "layer"
    names = _targets(rewrite)
    if not names:
        return what, None
    # What is in the place of a layer, and gone after the pass, was folded in its turn.
    old = {} if _in_place(rewrite) else kinds
    into = sorted({after[x].kind if x in after else old.get(x, AFFINE) for x in names})
    text = ", ".join(into[:_MOST_KINDS]) + (" and others" if len(into) > _MOST_KINDS else "")
    return what, text + _where(rewrite, before)


def _where(rewrite: Rewrite, before: Census) -> str:
    if _in_place(rewrite):
        return " in its place"
    own = [before[x].place for x in rewrite.layers if x in before]
    places = [before[x].place for x in _targets(rewrite) if x in before]
    if not own or not places:
        return ""
    if max(places) < min(own):
        return " before it"
    return " after it" if min(places) > max(own) else " around it"
