"""The names of models: what form they have, so that they are safe file names on every system."""

from __future__ import annotations

import re

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
"""A model's name becomes the first part of its artifacts' file names."""

NAME_RULE = (
    "letters, digits, '-', '_' and '.', first a letter, a digit or '_', at most 100 characters, "
    "no name that Windows reserves (con, nul, com1)"
)
"""What a model's name may be, in words."""

# Windows reserves these names with any suffix, in any case.
_RESERVED = re.compile(r"\A(?:con|prn|aux|nul|com\d|lpt\d)(?=\.|\Z)", re.IGNORECASE)


def is_safe_name(name: str) -> bool:
    """Whether a model may have this name."""
    return re.fullmatch(NAME_PATTERN, name) is not None and _RESERVED.match(name) is None


def avoid_reserved(name: str) -> str:
    """The name, with ``_`` after a part that Windows reserves: ``con.v1`` becomes ``con_.v1``."""
    return _RESERVED.sub(r"\g<0>_", name)
