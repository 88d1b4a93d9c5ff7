"""The stages that the checks of one model share: build, inputs, reduction, comparison.

Each stage is done once, when a check first needs it. A stage that failed fails again, at once and
with the same error, for every check that needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kito.errors import KitoError
from kito.runtime.quiet import without_deprecations
from pytest_kito.checks.phases import METRIC, PhaseClock
from pytest_kito.checks.timed_files import TimedFiles
from pytest_kito.checks.torch_run import build_module, reduce_module

if TYPE_CHECKING:
    from kito.equivalence.criteria import Criteria
    from kito.equivalence.result import Comparison
    from kito.export.proof import Baseline
    from kito.runtime.batch import Inputs
    from pytest_kito.checks.evaluate import Reading
    from pytest_kito.config.load import ModelSpec


T = TypeVar("T")


class ModelRun:
    """A declared model that is built, reduced and compared at most once.

    Every method raises KitoError where its stage, or one before it, fails.

    Attributes:
        spec: the declaration.
        base: the directory of kito.yaml.
        clock: measures the time of each stage.
        artifacts: by format, the file of an artifact that was proved; None where that failed.
    """

    def __init__(self, spec: ModelSpec, base: Path, clock: PhaseClock | None = None) -> None:
        self.spec, self.base = spec, base
        self.clock = PhaseClock() if clock is None else clock
        self.artifacts: dict[str, Path | None] = {}
        self._done: dict[str, Any] = {}
        self._timed: TimedFiles | None = None

    def _once(self, stage: str, make: Callable[[], T], phase: str) -> T:
        if stage not in self._done:
            try:
                with self.clock.measure(phase), without_deprecations():
                    self._done[stage] = make()
            except KitoError as error:
                self._done[stage] = error
        if isinstance(self._done[stage], KitoError):
            raise self._done[stage]
        return cast(T, self._done[stage])

    def original(self) -> Any:
        """The declared model, with its weights."""
        return self._once("original", self._build, "build")

    def inputs(self) -> Inputs:
        """The inputs of every check."""
        return self._resolved(self.original())

    def reduction(self) -> Any:
        """The :class:`kito.Reduction`, or :class:`kito.TorchReduction`, by the declared passes."""
        return self._once("reduction", self._reduce, "reduce")

    def reduced(self) -> Any:
        """The reduced model; a PyTorch module in the form of a Keras model, like the original."""
        reduction = self.reduction()
        if self.spec.framework == "keras":
            return reduction.model
        from kito.runtime.torch_pair import wrap_module

        examples = self.original().examples
        return self._once(
            "reduced", lambda: wrap_module(reduction.module, examples, self.spec.name), "reduce"
        )

    def comparison(self) -> Comparison:
        """The comparison of the reduced model's outputs with the original's."""
        return self._once("comparison", self._compare, "compare")

    def metric(self, name: str) -> Reading:
        """The value of a declared metric on the original."""
        from pytest_kito.checks.evaluate import read_original

        model, spec = self.original(), self.spec.metrics[name]
        return self._once(f"metric {name}", lambda: read_original(spec, self.base, model), METRIC)

    def criteria(self) -> Criteria:
        """The declared tolerances and reference of the comparison."""
        from kito.equivalence.criteria import Criteria

        tolerance = self.spec.tolerance
        return Criteria(
            rtol=tolerance.rtol,
            atol=tolerance.atol,
            outputs={name: (own.rtol, own.atol) for name, own in tolerance.outputs.items()},
            reference=self.spec.equivalence.reference,
        )

    def baseline(self) -> Baseline:
        """The original, and how an artifact is compared with it."""
        from kito.export.proof import Baseline

        return Baseline(self.original(), self.inputs(), self.criteria(), self.custom_objects())

    def custom_objects(self) -> Any:
        """The declared custom classes by name, needed to load a file of the model; else None."""
        from kito.runtime.import_path import import_object

        declared = self.spec.custom_objects
        return None if declared is None else import_object(declared, base=self.base)

    def artifact_file(self, artifact_format: str) -> Path:
        """The artifact of a format; written and proved now, unless its own check has done so."""
        made = self.artifacts.get(artifact_format)
        return self._file("reduced", artifact_format) if made is None else made

    def exported_original(self, artifact_format: str) -> Path:
        """The original in a format, proved as an artifact is."""
        return self._file("original", artifact_format)

    def _file(self, name: str, artifact_format: str) -> Path:
        baseline = self.baseline()
        model = self.original() if name == "original" else self.reduced()
        if self._timed is None:
            self._timed = TimedFiles()
        files = self._timed
        return self._once(
            f"{name} {artifact_format}",
            lambda: files.write(model, baseline, name, artifact_format),
            "write",
        )

    def release(self) -> None:
        """Free the models and remove their files; a later stage builds them again."""
        self._done.clear()
        if self._timed is not None:
            self._timed.remove()
            self._timed = None

    def _build(self) -> Any:
        from kito.runtime.load import load_model
        from kito.runtime.weights import apply_weights

        spec = self.spec
        if spec.framework == "torch":
            return build_module(spec, self.base, self._data(), self._resolved)
        model = load_model(
            spec.source, base=self.base, kwargs=spec.kwargs, custom_objects=spec.custom_objects
        )
        if spec.weights != "as-built":
            inputs = self._resolved(model)
            apply_weights(model, spec.weights, base=self.base, inputs=inputs, seed=spec.inputs.seed)
        return model

    def _resolved(self, model: Any) -> Inputs:
        return self._once("inputs", lambda: self._resolve(model), "build")

    def _resolve(self, model: Any) -> Inputs:
        from kito.runtime.inputs import resolve_inputs

        spec = self.spec.inputs
        return resolve_inputs(
            model,
            self._data(),
            samples=spec.samples,
            seed=spec.seed,
            shape=spec.shape,
            low=spec.low,
            high=spec.high,
        )

    def _data(self) -> Any:
        """The declared file, or the object of the declared import path; None for random inputs."""
        from kito.runtime.import_path import import_object

        data = self.spec.inputs.data
        if data is None:
            return None
        return self.base / data if data.endswith(".npz") else import_object(data, base=self.base)

    def _reduce(self) -> Any:
        from kito.rewrite.reduce import reduce

        spec = self.spec.reduction
        if self.spec.framework == "torch":
            return reduce_module(self.original(), self.inputs(), spec.passes)
        return reduce(self.original(), passes=spec.passes, target=spec.target, strict=spec.strict)

    def _compare(self) -> Comparison:
        from kito.equivalence.compare import compare_with

        return compare_with(self.original(), self.reduced(), self.inputs(), self.criteria())
