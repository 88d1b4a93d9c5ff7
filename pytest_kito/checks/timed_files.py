"""Files that are written to be timed only, in a temporary folder of their model."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kito.export.proof import Baseline


class TimedFiles:
    """The folder of one model's files; it is removed with this object at the latest."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kito-"))
        self.remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def write(self, model: Any, baseline: Baseline, name: str, artifact_format: str) -> Path:
        """Write a model, and prove the file in a process of its own.

        The reduced model is written as an artifact is, the original (``baseline.original``) as
        Keras or PyTorch exports it.

        Raises:
            KitoError: the format cannot hold the model, its engine fails, or the outputs differ.
        """
        from kito.export.artifact import write_artifact
        from kito.export.engine_speedup import engine_process, loader
        from kito.export.formats.names import available_format
        from kito.graph.torch_model import framework_of

        info = available_format(artifact_format, framework_of(model))
        with engine_process(info, "cpu") as process:
            load = loader(process, info)
            rewrite = model is not baseline.original
            written = write_artifact(model, baseline, self._folder, name, info.name, load, rewrite)
        return self._folder / written.file
