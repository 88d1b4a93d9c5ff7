"""What ``reduce()`` returns: both models, and a report of what was done and what was not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import keras

from kito.drawing.layout import is_installed
from kito.drawing.network import describe
from kito.drawing.svg import draw
from kito.errors import counted, html_table
from kito.graph.build import Shared
from kito.graph.calls import Call
from kito.graph.keras_internals import all_layers
from kito.rewrite.outcome import Kept, Rewrite, size_rows
from kito.rewrite.patterns import Pattern


@dataclass(frozen=True, repr=False, eq=False)
class Reduction:
    """A model, its reduced model, and a report of the differences.

    Attributes:
        original: the model as it was given; it was not changed.
        model: the reduced model.
        rewrites: what was done, in order.
        kept: the affines that are still there, each with the reason.
        seconds: how long the reduction took.
        layers: number of layers, nested ones included, (before, after).
        parameters: number of elements of all weights, (before, after).
        batchnorms: number of BatchNormalization layers, (before, after).
        precomputed: how many BatchNormalization layers could not be folded and became a
            ``Rescaling`` with two constant vectors.
        opened: names of the custom composite layers that were inlined: the reduced model calls the
            layers inside them itself.
        shared: the layers that could not be copied, with the reason: both models use them.
        patterns: the rewrites by kind, with what each kind saved.
        calls: the calls of the original as they were read, those in inlined layers included: what
            the names of the rewrites stand for.
    """

    original: Any
    model: Any
    rewrites: tuple[Rewrite, ...]
    kept: tuple[Kept, ...]
    seconds: float
    precomputed: int = 0
    opened: tuple[str, ...] = ()
    shared: tuple[Shared, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    calls: tuple[Call, ...] = ()
    layers: tuple[int, int] = field(init=False)
    parameters: tuple[int, int] = field(init=False)
    batchnorms: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        before, after = _count(self.original), _count(self.model)
        for i, name in enumerate(("layers", "parameters", "batchnorms")):
            object.__setattr__(self, name, (before[i], after[i]))

    def __repr__(self) -> str:
        return (
            f"<Reduction of '{self.original.name}': layers {self.layers[0]} -> {self.layers[1]}, "
            f"BatchNormalization {self.batchnorms[0]} -> {self.batchnorms[1]}>"
        )

    def sizes(self) -> list[tuple[str, str, str]]:
        """The rows of a table for people, headings first: what there is, before and after."""
        return size_rows(self)

    def _repr_html_(self) -> str:
        """The sizes, the kinds of rewrites, what is kept, and the drawing, for a notebook.

        The drawing needs the extra ``report``; without it, the rest is shown.
        """
        notes = [f"{x.pass_name}: {x.title()}; {x.saving()}" for x in self.patterns]
        notes += [f"kept: {x.layer}: {x.reason}" for x in self.kept]
        notes += [f"shared: {x.layer}: {x.reason}" for x in self.shared]
        table = html_table(f"Reduction of '{self.original.name}'", self.sizes(), notes)
        return table + (draw(describe(self)) if is_installed() else "")

    def to_dict(self) -> dict[str, Any]:
        """The section ``reduction`` of the JSON report, as plain data."""
        return {
            "layers": list(self.layers),
            "parameters": list(self.parameters),
            "batchnorms": list(self.batchnorms),
            "precomputed": self.precomputed,
            "opened": list(self.opened),
            "shared": [asdict(x) for x in self.shared],
            "seconds": self.seconds,
            "rewrites": [
                {"pass_name": x.pass_name, "layers": list(x.layers), "into": x.into}
                for x in self.rewrites
            ],
            "kept": [asdict(x) for x in self.kept],
        }

    def summary(self) -> str:
        """A table for people: sizes before and after, rewrites by pass, and what was kept."""
        lines = [f"{self.original.name}: reduced in {self.seconds:.2f} s"]
        lines += [f"  {name:<12}{before:>14}{after:>14}" for name, before, after in self.sizes()]
        if self.opened:
            lines.append(f"  opened: {', '.join(self.opened)}")
        if self.precomputed:
            lines.append(
                "  "
                + counted(
                    self.precomputed,
                    "of the batchnorms is a Rescaling now",
                    "of the batchnorms are a Rescaling now",
                )
            )
        names = list(dict.fromkeys(rewrite.pass_name for rewrite in self.rewrites))
        for name in names:
            done = [rewrite for rewrite in self.rewrites if rewrite.pass_name == name]
            lines.append(f"{name}: {counted(len(done), 'rewrite')}")
            for rewrite in done:
                into = f" -> {rewrite.into}" if rewrite.into else ""
                lines.append(f"  {', '.join(rewrite.layers) or 'a bias'}{into}")
        if self.kept:
            lines.append(f"kept: {len(self.kept)}")
            lines += [f"  {kept.layer}: {kept.reason}" for kept in self.kept]
        if self.shared:
            lines.append(f"shared: {len(self.shared)}")
            lines += [f"  {shared.layer}: {shared.reason}" for shared in self.shared]
        return "\n".join(lines)


def _count(model: Any) -> tuple[int, int, int]:
    layers = all_layers(model)
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
    return len(layers), model.count_params(), norms
