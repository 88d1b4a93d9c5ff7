"""The extra ``report``: what the HTML report needs. Asked before anything of it is imported."""

from __future__ import annotations

import importlib.util

from kito.errors import KitoError


def require_extra(option: str) -> None:
    """Check that the packages of the extra ``report`` are there.

    Args:
        option: what needs them.

    Raises:
        KitoError: they are not.
    """
    if not all(map(importlib.util.find_spec, ("jinja2", "fast_sugiyama"))):
        raise KitoError(
            f"{option} needs packages that are not installed; install them with: "
            "pip install 'pytest-kito[report]'"
        )
