"""What `speedup.engines` and `artifacts` must agree on."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_kito.config.problems import KeyPath, quoted
from pytest_kito.config.schema import ModelKeys


def missing_artifacts(name: str, keys: ModelKeys) -> Iterator[tuple[KeyPath, str]]:
    """The engines whose format a model does not list in ``artifacts``: path, and what is wrong.

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
