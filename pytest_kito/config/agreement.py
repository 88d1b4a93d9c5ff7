"""What keys of one model ask of each other."""

from __future__ import annotations

from collections.abc import Iterator

from kito.export.formats.names import FORMAT_NAMES
from kito.runtime.import_path import MODEL_FILES
from pytest_kito.config.problems import KeyPath, quoted
from pytest_kito.config.schema import ModelKeys

Found = Iterator[tuple[KeyPath, str]]
"""Paths of keys, each with what is wrong there."""


def missing_artifacts(name: str, keys: ModelKeys) -> Found:
    """The engines whose format a model does not list in ``artifacts``.

    What is timed are the bytes that are handed out, so they must be.

    Args:
        name: of the model.
        keys: the model's, completed from ``defaults``.
    """
    for engine in () if keys.speedup is None else keys.speedup.engines:
        if engine not in keys.artifacts:
            listed = ", ".join(keys.artifacts) or "nothing"
            yield (
                ("models", name, "speedup", "engines", engine),
                f"what is timed is the artifact, and {quoted(name)} has {listed}; list "
                f"{quoted(engine)} in its artifacts",
            )


def unwritable_artifacts(name: str, keys: ModelKeys) -> Found:
    """The artifacts that cannot be written: not of this framework, or not here.

    Args:
        name: of the model.
        keys: the model's, completed from ``defaults``.
    """
    for index, artifact_format in enumerate(keys.artifacts):
        obstacle = FORMAT_NAMES[artifact_format].obstacle(keys.framework)
        if obstacle is not None:
            yield ("models", name, "artifacts", index), f"{quoted(artifact_format)} {obstacle}"


def keras_only(name: str, keys: ModelKeys) -> Found:
    """The keys of a PyTorch model that only Keras models have.

    Args:
        name: of the model.
        keys: the model's, completed from ``defaults``.
    """
    if keys.framework == "keras":
        return
    if keys.source.endswith(MODEL_FILES):
        yield (
            ("models", name, "source"),
            f"{quoted(keys.source)} is a file of Keras; allowed with framework: torch: "
            "package.module:callable that returns a torch.nn.Module",
        )
    for key in ("custom_objects",) if keys.custom_objects is not None else ():
        yield ("models", name, key), "is for files of Keras; leave it out with framework: torch"
    if keys.reduction.strict:
        yield (
            ("models", name, "reduction", "strict"),
            "is for layers of Keras; leave it out with framework: torch",
        )
