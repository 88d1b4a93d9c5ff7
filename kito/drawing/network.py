"""``describe()``: both graphs of a reduction, and what became of each layer, as plain data.

The data is compact, because a report holds that of many models: texts are listed once, and a layer
that stays is named once. Its keys:

- ``name``: of the model.
- ``texts``: every text that another part gives by its index.
- ``before``, ``after``: a row for each call in topological order, ``[name, type, detail, shape,
  [calls that it reads]]``, where the type, the detail and the shape are indices of texts. In
  ``after``, the name is the index of the call of ``before`` that it is, or the name of a new layer.
- ``gone``: for a call of ``before`` that the reduced model lacks, ``[what became of it, [calls of
  after that do its work]]``.
- ``notes``: for a call of ``after``, ``[kind, text]`` of each thing to say about it: ``was`` (what
  has changed), ``takes`` (what moved to it and is no layer), ``moved``, ``kept`` (why it stays),
  ``shared``.
- ``opened``: for a layer that was inlined, ``[name, type]``; the names of the layers in it begin
  with its name and a hyphen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from kito.drawing.words import detail, shape_text
from kito.graph.calls import Call, model_calls
from kito.graph.keras_internals import all_layers

_VERBS = {
    "drop_identity": "does nothing in inference",
    "fold_affine": "folded into",
    "fold_batchnorm": "folded into",
    "absorb_padding": "absorbed by",
    "merge_branches": "merged into",
    "collapse_linear": "merged into",
    "move_strides": "its stride moved into",
    "choose_kernels": "done by",
}
_UNUSED = "nothing reads it any more"


class _Rewrite(Protocol):
    @property
    def pass_name(self) -> str: ...
    @property
    def layers(self) -> tuple[str, ...]: ...
    @property
    def into(self) -> str | None: ...


class _Reason(Protocol):
    @property
    def layer(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Reduced(Protocol):
    """What a drawing needs to know of a :class:`kito.rewrite.reduction.Reduction`."""

    @property
    def original(self) -> Any: ...
    @property
    def model(self) -> Any: ...
    @property
    def calls(self) -> tuple[Call, ...]: ...
    @property
    def rewrites(self) -> Sequence[_Rewrite]: ...
    @property
    def kept(self) -> Sequence[_Reason]: ...
    @property
    def shared(self) -> Sequence[_Reason]: ...
    @property
    def opened(self) -> tuple[str, ...]: ...


def describe(reduction: Reduced) -> dict[str, Any]:
    """Both graphs of a reduction and what became of each layer, as JSON can hold it, O(calls)."""
    return _Description(reduction).data()


class _Texts:
    def __init__(self) -> None:
        self.index: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.index.setdefault(text, len(self.index))


class _Description:
    def __init__(self, reduction: Reduced) -> None:
        self.reduction = reduction
        self.texts = _Texts()
        self.before = reduction.calls or model_calls(reduction.original)
        self.after = model_calls(reduction.model)
        self.now = _same(self.before, self.after)
        """For a call of ``before``, the call of ``after`` that it is."""
        self.named: dict[str, list[int]] = {}
        for j, call in enumerate(self.after):
            self.named.setdefault(call.name, []).append(j)
        self.told: dict[str, list[int]] = {}
        """For a name, the indices of the rewrites that removed or replaced it."""
        for k, rewrite in enumerate(reduction.rewrites):
            for name in rewrite.layers:
                self.told.setdefault(name, []).append(k)

    def data(self) -> dict[str, Any]:
        then = {j: i for i, j in self.now.items()}
        before = [[x.name, *self._row(x)] for x in self.before]
        after = [[then.get(j, x.name), *self._row(x)] for j, x in enumerate(self.after)]
        gone = {str(i): self._fate(call) for i, call in enumerate(self.before) if i not in self.now}
        notes: dict[str, list[list[Any]]] = {}
        for j, kind, text in self._notes(then):
            entry = [kind, self.texts(text)]
            if entry not in notes.setdefault(str(j), []):
                notes[str(j)].append(entry)
        kinds = {x.name: type(x).__name__ for x in all_layers(self.reduction.original)}
        return {
            "name": self.reduction.original.name,
            "before": before,
            "after": after,
            "gone": gone,
            "notes": notes,
            "opened": [[name, kinds.get(name, "")] for name in self.reduction.opened],
            "texts": list(self.texts.index),
        }

    def _row(self, call: Call) -> list[Any]:
        texts = (type(call.layer).__name__, detail(call.layer), shape_text(call.shape))
        return [*map(self.texts, texts), list(call.inputs)]

    def _fate(self, call: Call) -> list[Any]:
        told = self.told.get(call.name)
        if not told:
            return [self.texts(_UNUSED), []]
        last = self.reduction.rewrites[told[-1]]
        hosts = self._hosts(call.name)
        verb = _VERBS.get(last.pass_name, "done by")
        if last.into is not None and not hosts:
            verb = "cancelled out"
        return [self.texts(verb), [j for name in hosts for j in self.named[name]]]

    def _hosts(self, name: str) -> list[str]:
        """The layers of the reduced model that do the work of one that it lacks."""
        found: dict[str, None] = {}
        seen, waiting = {name}, [(name, -1)]
        while waiting:
            current, since = waiting.pop(0)
            later = [k for k in self.told.get(current, []) if k > since]
            if not later:
                continue
            for target in _targets(self.reduction.rewrites[later[-1]]):
                if target in self.named:
                    found[target] = None
                elif target not in seen:
                    seen.add(target)
                    waiting.append((target, since))
        return list(found)

    def _notes(self, then: Mapping[int, int]) -> Iterable[tuple[int, str, str]]:
        for j, i in then.items():
            old, new = self.before[i], self.after[j]
            words = [(type(x.layer).__name__, detail(x.layer)) for x in (old, new)]
            if words[0][0] != words[1][0]:
                yield j, "was", " ".join(words[0]).strip()
            elif words[0] != words[1]:
                yield j, "was", words[0][1] or "without"
        for rewrite in self.reduction.rewrites:
            yield from self._note(rewrite)
        for kind, reasons in (("kept", self.reduction.kept), ("shared", self.reduction.shared)):
            for x in reasons:
                for j in self._place(x):
                    yield j, kind, x.reason

    def _note(self, rewrite: _Rewrite) -> Iterable[tuple[int, str, str]]:
        targets = _targets(rewrite)
        if not rewrite.layers:
            for name in targets:
                for j in self.named.get(name, []):
                    yield j, "takes", "a bias moved here"
        told: list[tuple[str, str]] = []
        if rewrite.pass_name == "move_pointwise":
            for names, others in ((rewrite.layers, targets), (targets, rewrite.layers)):
                told += [(name, f"changed places with {', '.join(others)}") for name in names]
        elif rewrite.pass_name == "move_strides":
            told = [(name, f"its stride moved to {', '.join(targets)}") for name in rewrite.layers]
        for name, text in told:
            for j in self.named.get(name, []):
                yield j, "moved", text

    def _place(self, stays: _Reason) -> list[int]:
        """The calls of the layer that stays; where it is inside of another layer, those of it."""
        if stays.layer in self.named:
            return self.named[stays.layer]
        outer = [x for x in stays.reason.split("'")[1::2] if x in self.named]
        return self.named[outer[0]] if outer else []


def _targets(rewrite: _Rewrite) -> list[str]:
    return rewrite.into.split(", ") if rewrite.into else []


def _same(before: Sequence[Call], after: Sequence[Call]) -> dict[int, int]:
    """For calls of ``before``, the call of ``after`` of the same name, the n-th for the n-th."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for j, call in enumerate(after):
        places.setdefault((call.within, call.name), []).append(j)
    found = {}
    for i, call in enumerate(before):
        if waiting := places.get((call.within, call.name)):
            found[i] = waiting.pop(0)
    return found
