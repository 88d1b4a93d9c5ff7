"""One declared model on its way through the checks: each stage is done once, when it is needed.

A stage that failed fails again, at once and with the same error, for every check that needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kito.errors import KitoError
from pytest_kito.checks.phases import PhaseClock

if TYPE_CHECKING:
    from kito.equivalence.compare import Comparison
    from kito.rewrite.reduction import Reduction
    from kito.runtime.batch import Inputs
    from pytest_kito.config.load import ModelSpec


T = TypeVar("T")


class ModelRun:
    """A declared model: built, fed, reduced and compared at most once each.

    Every method raises KitoError where its stage, or one before it, cannot be done.

    Attributes:
        spec: the declaration.
        base: the directory of kito.yaml.
        clock: takes the time of each stage.
    """

    def __init__(self, spec: ModelSpec, base: Path, clock: PhaseClock | None = None) -> None:
        self.spec, self.base = spec, base
        self.clock = PhaseClock() if clock is None else clock
        self._done: dict[str, Any] = {}

    def _once(self, stage: str, make: Callable[[], T], phase: str) -> T:
        if stage not in self._done:
            try:
                with self.clock.measure(phase):
                    self._done[stage] = make()
            except KitoError as error:
                self._done[stage] = error
        if isinstance(self._done[stage], KitoError):
            raise self._done[stage]
        return cast(T, self._done[stage])

    def original(self) -> Any:
        """The model as declared, with its weights."""
        return self._once("original", self._build, "build")

    def inputs(self) -> Inputs:
        """What it is fed in every check."""
        model = self.original()
        return self._once("inputs", lambda: self._resolve(model), "build")

    def reduction(self) -> Reduction:
        """The model reduced by the declared passes."""
        return self._once("reduction", self._reduce, "reduce")

    def comparison(self) -> Comparison:
        """The reduced model's outputs against the original's."""
        return self._once("comparison", self._compare, "compare")

    def tolerances(self) -> dict[str, Any]:
        """What is declared of the comparison, as arguments of :func:`kito.compare`."""
        tolerance = self.spec.tolerance
        return {
            "rtol": tolerance.rtol,
            "atol": tolerance.atol,
            "outputs": {name: (x.rtol, x.atol) for name, x in tolerance.outputs.items()},
            "reference": self.spec.equivalence.reference,
        }

    def custom_objects(self) -> Any:
        """What a file of the model needs to be loaded, by name; None where nothing is declared."""
        from kito.runtime.import_path import import_object

        declared = self.spec.custom_objects
        return None if declared is None else import_object(declared, base=self.base)

    def release(self) -> None:
        """Let go of the models; a later stage would build them again."""
        self._done.clear()

    def _build(self) -> Any:
        from kito.runtime.load import load_model
        from kito.runtime.weights import apply_weights

        spec = self.spec
        model = load_model(
            spec.source, base=self.base, kwargs=spec.kwargs, custom_objects=spec.custom_objects
        )
        if spec.weights != "as-built":
            inputs = self._once("inputs", lambda: self._resolve(model), "build")
            apply_weights(model, spec.weights, base=self.base, inputs=inputs, seed=spec.inputs.seed)
        return model

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
        """The declared file, or what the declared import path names; None for random inputs."""
        from kito.runtime.import_path import import_object

        data = self.spec.inputs.data
        if data is None:
            return None
        return self.base / data if data.endswith(".npz") else import_object(data, base=self.base)

    def _reduce(self) -> Reduction:
        from kito.rewrite.reduce import reduce

        spec = self.spec.reduction
        return reduce(self.original(), passes=spec.passes, target=spec.target)

    def _compare(self) -> Comparison:
        from kito.equivalence.compare import compare

        return compare(self.original(), self.reduction().model, self.inputs(), **self.tolerances())
