"""The ``defaults`` of kito.yaml: filled into its models, without a copy for each of them.

A section that a model does not write at all is validated once, and shared. Only a section that both
write is merged, key by key, down to any depth; a small file could so become a large one, which is
bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_kito.config.problems import KeyPath, Problem

MAX_MERGED = 500_000
"""Most values of ``defaults`` that are copied into models."""


def with_defaults(raw: Any, lines: Mapping[KeyPath, int]) -> tuple[Any, Problem | None]:
    """The file with each section that a model writes, too, completed from ``defaults``.

    Args:
        raw: the file as it was read, valid or not; it is left unchanged.
        lines: the line of each key.

    Returns:
        The completed file, and what is wrong where it would become too large.
    """
    match raw:
        case {"defaults": dict(defaults), "models": dict(models)}:
            pass
        case _:
            return raw, None
    copied = 0
    merged: dict[str, Any] = {}
    for name, own in models.items():
        merged[name] = own
        if isinstance(own, dict):
            merged[name] = dict(own)
            for key in own.keys() & defaults.keys() - {"source"}:
                if isinstance(own[key], dict) and isinstance(defaults[key], dict):
                    merged[name][key], count = _merge(defaults[key], own[key])
                    copied += count
        if copied > MAX_MERGED:
            at = ("models", name)
            return None, Problem(
                lines[at],
                at,
                f"with the values of 'defaults', the models have more than {MAX_MERGED}; write "
                "fewer in 'defaults'",
            )
    return {**raw, "models": merged}, None


def _merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The own keys and the defaults of the others; how many values were looked at."""
    merged, count = dict(own), len(defaults)
    for key, value in defaults.items():
        if key not in own:
            merged[key] = value
        elif isinstance(value, dict) and isinstance(own[key], dict):
            merged[key], more = _merge(value, own[key])
            count += more
    return merged, count


def origin(path: KeyPath, raw: Any) -> KeyPath:
    """The path in the file itself of the value at ``path`` in the completed file.

    Args:
        path: as :class:`pytest_kito.config.schema.KitoFile` sees it.
        raw: the file as it was read.
    """
    match path, raw:
        case ("models", str(name), *rest), {"defaults": dict(defaults), "models": dict(models)}:
            own: Any = models.get(name)
        case _:
            return path
    default: Any = {key: value for key, value in defaults.items() if key != "source"}
    for part in rest:
        if not isinstance(own, dict) or not isinstance(default, dict):
            return path
        if part not in own:
            return ("defaults", *rest) if part in default else path
        own, default = own[part], default.get(part)
    return path
