"""One network in three forms, as what an engine runs: a file of each, or the Keras model itself.

The original and KITO's passes are exported as Keras exports them, ours as ``kito.export`` writes
its artifacts. So whatever that does for an engine is part of ours, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

FORMS = ("original", "fold", "ours")
"""The original, what ``passes=("fold_batchnorm",)`` makes of it, and what ``kito.reduce`` makes."""

TOLERANCE = 1e-3
"""The largest difference between outputs, relative to the largest of the original's, at which
files count as computing the same. Random weights amplify rounding more than trained ones."""


@dataclass
class Files:
    """What was exported.

    Attributes:
        paths: what the engine reads, by form.
        bytes: the size of it.
        missing: why a form has no file that can be timed, by form.
        seconds: what each export took, for ours with its proof.
        folder: where the files are; reasons do not name it.
    """

    folder: Path
    paths: dict[str, Path] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def attempt(self, form: str) -> Iterator[None]:
        """An error in the block is the reason why there is no file of a form."""
        from kito.export.failure import one_line

        try:
            yield
        except Exception as error:  # whatever an exporter or an engine raises
            self.leave_out(form, one_line(error, self.folder))

    def leave_out(self, form: str, reason: str) -> None:
        """There is no file of this form that can be timed."""
        self.paths.pop(form, None)
        self.missing[form] = reason

    def add(self, form: str, path: Path) -> None:
        """A file of a form, alone in its folder with what belongs to it."""
        self.paths[form] = path
        self.bytes[form] = sum(x.stat().st_size for x in path.parent.iterdir() if x.is_file())


def forms_of(model: Any) -> dict[str, Any]:
    """The Keras models of the three forms."""
    import kito

    return {
        "original": model,
        "fold": kito.reduce(model, passes=("fold_batchnorm",)).model,
        "ours": kito.reduce(model).model,
    }


def export_forms(models: Mapping[str, Any], inputs: Any, engine: str, folder: Path) -> Files:
    """Export each form for an engine.

    Args:
        models: the Keras models of the three forms.
        inputs: samples by input name, on which our file is compared with the original.
        engine: the name of a format, such as ``onnx``.
        folder: where the files are written.
    """
    files = Files(folder)
    for form in FORMS:
        own, start = folder / form, perf_counter()
        own.mkdir()
        with files.attempt(form):
            if form == "ours":
                files.add(form, _artifact(models, inputs, engine, own))
            else:
                files.add(form, _as_keras_does(models, form, engine, own))
        files.seconds[form] = round(perf_counter() - start, 1)
    return files


def _as_keras_does(models: Mapping[str, Any], form: str, engine: str, folder: Path) -> Path:
    """What ``model.export`` writes, but that outputs are named as in our files."""
    from kito.export.formats.exporting import export
    from kito.export.formats.interface import Interface

    suffix = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}[engine]
    path = folder / f"model{suffix}"
    interface = Interface.of(models["original"])
    export(interface.with_named_outputs(models[form]), path, engine)
    return path


def _artifact(models: Mapping[str, Any], inputs: Any, engine: str, folder: Path) -> Path:
    """The artifact as ``kito reduce -o`` and the gate write it, proved in a process of its own."""
    from kito.equivalence.criteria import Criteria
    from kito.export.artifact import write_artifact
    from kito.export.engine_speedup import engine_process, loader
    from kito.export.formats.names import available_format
    from kito.export.proof import Baseline

    info = available_format(engine)
    baseline = Baseline(models["original"], inputs, Criteria(rtol=TOLERANCE))
    with engine_process(info, "cpu") as process:
        load = loader(process, info)
        written = write_artifact(models["ours"], baseline, folder, "model", info.name, load)
    scratch = folder / "unpacked"
    scratch.mkdir()
    return info.implementation().native(folder / written.file, scratch)
