"""What the HTML report shows of one model: its figures in the order of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_kito.config.names import is_safe_name
from pytest_kito.reports.html import plots, ridges, words
from pytest_kito.reports.html.history import History, Past, past
from pytest_kito.reports.html.scale import Scale
from pytest_kito.reports.read import KeptLayer, ModelPart, ReportFile, RewritePart, SpeedupPart
from pytest_kito.reports.reasons import Group, grouped

MOST_NAMES = 60
"""Layers of one pass, or of one reason, that are listed by name."""


@dataclass(frozen=True)
class PassView:
    """What one pass did: how many rewrites, and where, as far as they are listed."""

    name: str
    count: int
    places: tuple[tuple[str, str], ...]

    @property
    def left_out(self) -> int:
        """How many are not listed."""
        return self.count - len(self.places)


@dataclass(frozen=True)
class Cell:
    """A figure of the overview: its text, what is small beside it, and what it is sorted by."""

    text: str
    note: str = ""
    key: float | None = None


@dataclass(frozen=True)
class ModelView:
    """A model of the report.

    Attributes:
        data: its figures.
        index: its place among the models of the report, from 0.
        anchor: its place in the page, for links; ASCII without spaces.
        status: ``passed``, ``failed``, ``skipped`` or ``not run``.
        reservations: what a reader must know of a model that passed, each in a few words.
        cells: the figures of the overview, by column.
        least: its slowest speed-up, drawn on the scale of all models.
        speedups: its speed-ups, drawn.
        latencies: the distributions of the latencies, drawn.
        differences: the differences of its outputs, drawn.
        passes: what was rewritten.
        kept: why affines were kept.
        shared: why layers are shared by both models.
        past: its history.
        drawn: whether there is a drawing of the network before and after.
    """

    data: ModelPart
    index: int
    anchor: str
    status: str
    reservations: tuple[str, ...]
    cells: dict[str, Cell]
    least: plots.Intervals | None
    speedups: plots.Intervals | None
    latencies: tuple[ridges.Latencies, ...]
    differences: plots.Differences | None
    passes: tuple[PassView, ...]
    kept: tuple[Group, ...]
    shared: tuple[Group, ...]
    past: Past | None
    drawn: bool


def model_views(report: ReportFile, history: History, drawn: Sequence[bool]) -> list[ModelView]:
    """The models of a report; ``drawn`` says of each whether there is a drawing of it."""
    scale = plots.ratio_scale(
        least for model in report.models if (least := slowest(model.speedup)) is not None
    )
    return [
        _view(model, index, each, scale, past(history, report, model))
        for index, (model, each) in enumerate(zip(report.models, drawn, strict=True))
    ]


def _view(
    model: ModelPart, index: int, drawn: bool, scale: Scale, earlier: Past | None
) -> ModelView:
    least = slowest(model.speedup)
    reduction = model.reduction
    shown = (ridges.latencies(x) for x in model.speedup)
    return ModelView(
        data=model,
        index=index,
        anchor=f"model-{model.name}" if is_safe_name(model.name) else f"number-{index + 1}",
        status=model.outcome,
        reservations=tuple(_reservations(model)),
        cells=_cells(model, least),
        least=plots.intervals([least], scale) if least is not None else None,
        speedups=plots.intervals(model.speedup),
        latencies=tuple(x for x in shown if x is not None),
        differences=plots.differences(model.equivalence) if model.equivalence else None,
        passes=_passes(reduction.rewrites) if reduction else (),
        kept=_groups(reduction.kept) if reduction else (),
        shared=_groups(reduction.shared) if reduction else (),
        past=earlier,
        drawn=drawn,
    )


def slowest(speedups: Iterable[SpeedupPart]) -> SpeedupPart | None:
    """The measured speed-up with the lowest ratio; None if none was measured."""
    measured = [x for x in speedups if plots.is_measured(x)]
    return min(measured, key=lambda x: x.ratio or 0.0, default=None)


def _reservations(model: ModelPart) -> Iterable[str]:
    equivalence = model.equivalence
    if equivalence is not None and equivalence.within_rounding:
        yield "within rounding"
    if equivalence is not None and equivalence.insensitive:
        yield "insensitive"
    if any(x.verdict == "inconclusive" for x in model.speedup):
        yield "inconclusive"
    if model.passed and model.not_run:
        yield "not all run"
    if any(x.warnings for x in model.speedup) or any(x.warnings for x in model.metrics):
        yield "warnings"


def _cells(model: ModelPart, least: SpeedupPart | None) -> dict[str, Cell]:
    cells = dict.fromkeys(("layers", "norms", "parameters", "difference", "speedup"), Cell(""))
    if model.reduction is not None:
        layers, norms, parameters = (
            model.reduction.layers,
            model.reduction.batchnorms,
            model.reduction.parameters,
        )
        # A normalization that became a Rescaling is not folded.
        left = norms[1] + model.reduction.precomputed
        cells["layers"] = Cell(f"{layers[0]:,} → {layers[1]:,}", key=layers[1])
        cells["norms"] = Cell(f"{norms[0]:,} → {left:,}", key=left)
        cells["parameters"] = Cell(
            f"{words.short(parameters[0])} → {words.short(parameters[1])}", key=parameters[1]
        )
    outputs = model.equivalence.outputs.values() if model.equivalence else ()
    errors = [x.error for x in outputs if x.error is not None]
    if errors:
        note = "" if model.share is None else f"{words.percent(model.share)} of allowed"
        cells["difference"] = Cell(words.scientific(max(errors)), note, key=max(errors))
    if least is not None:
        cells["speedup"] = Cell(words.ratio(least.ratio), words.timing(least), key=least.ratio)
    return cells


def _passes(rewrites: Sequence[RewritePart]) -> tuple[PassView, ...]:
    found: dict[str, list[tuple[str, str]]] = {}
    for x in rewrites:
        found.setdefault(x.pass_name, []).append((", ".join(x.layers) or "a bias", x.into or ""))
    return tuple(
        PassView(name, len(places), tuple(places[:MOST_NAMES])) for name, places in found.items()
    )


def _groups(entries: Sequence[KeptLayer]) -> tuple[Group, ...]:
    return tuple(grouped((x.layer, x.reason) for x in entries))
