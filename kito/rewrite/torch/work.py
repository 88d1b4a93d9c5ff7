"""The steps of ``reduce_torch_module()``, for a module or for its parts that can be traced."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from kito.errors import KitoError, UnsupportedModelError, summarize
from kito.graph.ir import Graph, Op
from kito.graph.torch.given import copy_module
from kito.graph.torch.inputs import as_inputs, find_inputs, other_size, with_noise
from kito.graph.torch.read import read_trace
from kito.graph.torch.record import copy_inputs, other_batch, record, run_inputs
from kito.graph.torch.same import error_of, find_difference
from kito.graph.torch.trace import NotTraced, Trace, trace
from kito.graph.torch.write import NotWritten, write_module
from kito.rewrite.outcome import Kept, KeptAffine, Outcome, Rewrite
from kito.rewrite.torch.notes import Notes

_FLOAT64 = 1e-6
"""How far outputs may be apart in float64, relative to the largest element."""
_MOST_ERROR = 4.0
"""How much larger the error of the reduced module may be than that of the original. A wrong rewrite
is orders of magnitude away."""
_MOST_ROUNDING = 1e-3
"""How far outputs may be apart by more rounding than that, relative to the largest element."""

Run = Sequence[tuple[str, Callable[[Graph], Outcome]]]


def count(module: nn.Module) -> tuple[int, int, int]:
    """The modules in a module that hold no other, its parameters, and its batch normalizations."""
    leaves = [x for x in module.modules() if not list(x.children())]
    norms = sum(isinstance(x, nn.modules.batchnorm._BatchNorm) for x in module.modules())
    return len(leaves), sum(x.numel() for x in module.parameters()), norms


class Work:
    """One reduction.

    Args:
        module: the original, to put the state of the copy back.
        duplicate: a copy of it in eval mode, of which the reduced module is made.
        example_inputs: what was given, or None.
        passes: the passes to run.
        wide: whether this is the reduction in float64 that tells rounding from errors.

    Attributes:
        notes: what there is to report.
        rounds: whether the rewrites are exact, but make too much of rounding.
    """

    def __init__(
        self,
        module: nn.Module,
        duplicate: nn.Module,
        example_inputs: Any,
        passes: Run,
        wide: bool = False,
    ) -> None:
        self.module, self.duplicate, self.passes = module, duplicate, passes
        self.given, self.wide = example_inputs, wide
        self.values = list(zip(_tensors(duplicate), _tensors(module), strict=True))
        self.notes, self.rounds = Notes(), False

    def reduce(self) -> nn.Module:
        """The reduced module; it returned what the original returns."""
        inputs = self._inputs()
        expected = self._expected(inputs)
        self._restore()
        reduced = self._reduced(self.duplicate, inputs, "")
        problem = self._difference(reduced, expected)
        self._restore()
        if problem and (self.rounds or self.notes.parts or not self.notes.rewrites):
            # A module may use the weights of one inside of it, or never return the same.
            what = "parts" if self.notes.parts else "layers"
            reason = f"it stays as it is: with {what} reduced, {problem}"
            self.notes = Notes(kept=[Kept(type(self.module).__name__, reason)])
            return copy_module(self.module)
        if problem:
            raise KitoError(
                f"the reduced {type(self.module).__name__} would not return the same, so there is "
                f"none: {problem}. This is a fault of kito; please report it"
            )
        return reduced

    def _inputs(self) -> tuple[Any, ...]:
        return find_inputs(self.duplicate) if self.given is None else as_inputs(self.given)

    def _expected(self, inputs: tuple[Any, ...]) -> list[tuple[tuple[Any, ...], Any]]:
        """What the module returns for the inputs, and for other batches and sizes that it takes."""
        try:
            runs = [(inputs, run_inputs(self.duplicate, inputs))]
        except Exception as error:  # whatever the forward of a module may raise
            raise UnsupportedModelError(
                f"{type(self.module).__name__} does not take example_inputs: {summarize(error)}"
            ) from error
        for more in (with_noise(other_batch(inputs)), other_size(inputs)):
            if more is not None:
                try:
                    runs.append((more, run_inputs(self.duplicate, more)))
                except Exception:  # it takes no such inputs
                    continue
        return runs

    def _restore(self) -> None:
        """Give the copy the values of the original again, which its runs may have changed."""
        with torch.no_grad():
            for mine, its in self.values:
                mine.copy_(its)

    # ---- one module ----------------------------------------------------------------------------

    def _reduced(self, module: nn.Module, inputs: tuple[Any, ...], path: str) -> nn.Module:
        """``module`` reduced: a new one, or itself with the parts of it reduced."""
        try:
            traced = trace(module, inputs)
            reduced = self._rewritten(traced, inputs, path)
        except NotTraced as reason:
            self.notes.kept.append(
                Kept(path or type(module).__name__, f"it stays as it is: {reason}")
            )
            self._reduce_inside(module, path, lambda: run_inputs(module, inputs))
            return module
        finally:
            self._restore()
        for inner in traced.closed:
            if inner in dict(reduced.named_modules()):
                held = reduced.get_submodule(inner)
                self._reduce_inside(held, _join(path, inner), lambda: run_inputs(reduced, inputs))
        return reduced

    def _rewritten(self, traced: Trace, inputs: tuple[Any, ...], path: str) -> nn.Module:
        told = record(traced, inputs)
        for sizes_apart in (True, False):
            reading = read_trace(traced, told, sizes_apart)
            rewrites: list[Rewrite] = []
            kept: list[KeptAffine] = []
            precomputed: list[Op] = []
            for _, run in self.passes:
                outcome = run(reading.graph)
                rewrites += outcome.rewrites
                precomputed += outcome.precomputed
                kept = kept if outcome.kept is None else outcome.kept
            try:
                reduced = write_module(reading)
            except NotWritten as error:
                if not sizes_apart:
                    raise NotTraced(str(error)) from error
                continue
            break
        self.notes.rewrites += [
            Rewrite(
                x.pass_name,
                tuple(_join(path, name) for name in x.layers),
                None if x.into is None else ", ".join(_join(path, n) for n in x.into.split(", ")),
            )
            for x in rewrites
        ]
        self.notes.precomputed += sum(bool(x.calls()) for x in precomputed)
        self.notes.kept += [
            Kept(_join(path, x.kept.layer), x.kept.reason) for x in kept if x.op.calls()
        ]
        self.notes.kept += [
            Kept(_join(path, name), f"it stays as it is: {reason}")
            for name, reason in reading.opaque.items()
        ]
        return reduced

    def _reduce_inside(self, module: nn.Module, path: str, run: Callable[[], Any]) -> None:
        """Put reduced modules in the place of those in ``module`` that can be traced."""
        places = list(_callable_children(module))
        calls: dict[int, tuple[Any, ...]] = {}
        note = _note(calls)
        hooks = [x.register_forward_pre_hook(note, with_kwargs=True) for _, _, x, _ in places]
        try:
            run()
        finally:
            for hook in hooks:
                hook.remove()
        replaced = []
        for holder, name, child, inner in places:
            given = calls.get(id(child))
            if given is None or not list(child.children()):  # not called, or with keywords
                continue
            before, place = self.notes.counts(), _join(path, inner)
            reduced = self._reduced(child, given, place)
            if len(self.notes.rewrites) > before[0] and reduced is not child:
                self.notes.parts.append(place)
                setattr(holder, name, reduced)
                replaced.append((holder, name, child, before, self.notes.counts()))
        try:
            if replaced:
                run()
        except Exception as error:  # what is around a part may ask it for more than its outputs
            for holder, name, child, before, after in reversed(replaced):
                setattr(holder, name, child)
                self.notes.forget(before, after)
            reason = f"its parts stay as they are: with them reduced, {summarize(error)}"
            self.notes.kept.append(Kept(path or type(module).__name__, reason))

    # ---- comparison ----------------------------------------------------------------------------

    def _difference(self, reduced: nn.Module, expected: list[tuple[tuple[Any, ...], Any]]) -> str:
        """In words, how the reduced module differs from the original; empty if it does not."""
        for inputs, theirs in expected:
            try:
                ours = run_inputs(reduced, inputs)
                problem = find_difference(theirs, ours)
                if problem:  # rounding, perhaps
                    problem = self._difference_in_float64(reduced, inputs, (theirs, ours))
            except Exception as error:  # whatever the forward of a module may raise
                problem = summarize(error)
            if problem:
                return problem
        return ""

    def _difference_in_float64(
        self, reduced: nn.Module, inputs: tuple[Any, ...], outputs: tuple[Any, Any]
    ) -> str:
        """The same by the original in float64, where ``outputs`` are those of both modules.

        The reduced module must return the same in float64, or else be as near to the original in
        float64 as the original itself is: some networks make much of a rounding.
        """
        wide = _in_float64(inputs)
        truth = run_inputs(copy_module(self.module).double(), wide)
        problem = find_difference(
            truth, run_inputs(copy.deepcopy(reduced).double(), wide), _FLOAT64
        )
        if problem:
            theirs, ours = (error_of(x, truth) for x in outputs)
            if ours <= _MOST_ERROR * theirs:
                return ""
            if self._exact_in_float64():
                large = find_difference(*outputs, _MOST_ROUNDING)
                self.rounds = bool(large)
                return large and f"by rounding alone, {large}"
        return problem

    def _exact_in_float64(self) -> bool:
        """Whether the same rewrites of the original in float64 are exact: all else is rounding.

        A BatchNormalization whose variance is near 0 makes much of the rounding of weights.
        """
        if self.wide:
            return False
        one, other = (copy_module(self.module).double() for _ in range(2))
        given = None if self.given is None else _in_float64(self.given)
        work = Work(one, other, given, self.passes, wide=True)
        try:
            work.reduce()
        except KitoError:
            return False
        return len(work.notes.rewrites) == len(self.notes.rewrites)  # it has none if it fails


def _in_float64(inputs: Any) -> Any:
    return pytree.tree_map(
        lambda x: x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x, inputs
    )


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _callable_children(
    module: nn.Module, path: str = ""
) -> Iterator[tuple[nn.Module, str, nn.Module, str]]:
    """(holder, name, child, path) of the modules that a module may call, in lists and dicts too."""
    for name, child in module.named_children():
        inner = _join(path, name)
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _callable_children(child, inner)
        else:
            yield module, name, child, inner


def _note(calls: dict[int, tuple[Any, ...]]) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that notes the arguments of the first call of each module that has no keywords."""

    def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
        if not kwargs:
            calls.setdefault(id(module), copy_inputs(args))

    return hook
