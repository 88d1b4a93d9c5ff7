"""Problems of a kito.yaml, one line each: where it is, what is wrong, and what is allowed."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


KeyPath = tuple[str | int, ...]
"""The path of a value: the keys and the list indices that lead to it from the top of the file."""

_KEY = "[key]"
"""What pydantic appends to the path of a key that is invalid itself."""
_LONGEST = 60
_short = reprlib.Repr()
_short.maxstring = _LONGEST


class ConfigError(KitoError):
    """A kito.yaml is invalid or cannot be read.

    Attributes:
        errors: every problem of the file, sorted by line, each as
            ``kito.yaml:LINE: path.to.key: what is wrong; what is allowed``.
    """

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


@dataclass(frozen=True)
class Problem:
    """One problem of a file."""

    line: int
    """The line in the file, from 1."""
    path: KeyPath
    """The value that is wrong; empty for the whole file."""
    text: str
    """What is wrong, and what is allowed."""

    def shown(self, file: str) -> str:
        """The problem as one line, with ``file`` as the name of the file."""
        where = f"{dotted(self.path)}: " if self.path else ""
        return f"{file}:{self.line}: {where}{self.text}"


def dotted(path: KeyPath) -> str:
    """The path as text, ``models.unet.artifacts[1]``; long keys and special characters quoted."""
    text = ""
    if path[-1:] == (_KEY,):
        path = path[:-1]
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = (
                part.isprintable() and 0 < len(part) <= _LONGEST and not set(part) & set(".:[] ")
            )
            text += ("." if text else "") + (part if plain else quoted(part))
    return text


def quoted(value: Any) -> str:
    """The value as short, printable text on one line."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else _short.repr(value)


# Every type that the YAML reader returns.
_ACTUAL: Mapping[type, str] = {
    NoneType: "no value",
    bool: "a boolean",
    dict: "a mapping",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "text",
}

# By the type of pydantic's error.
_EXPECTED: Mapping[str, str] = {
    "float_type": "a number",
    "int_type": "a whole number",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}

_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("is too small", "{ge:g} or more"),
    "greater_than": ("is too small", "more than {gt:g}"),
    "less_than_equal": ("is too large", "{le} or less"),
}


def explain(error: ErrorDetails, known: Mapping[str, str]) -> str:
    """Say what is wrong and what is allowed, for one of pydantic's errors.

    Args:
        error: from validating a :class:`pytest_kito.config.schema.KitoFile`.
        known: the keys that are allowed at the place of the error, and what each means.
    """
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    key = str(error["loc"][-1])
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(key, known)}allowed: {', '.join(known)}"
    if kind == "missing":
        return f"missing; allowed: {known[key].rstrip('.')}"
    if kind in _EXPECTED:
        return f"{quoted(value)} is {_ACTUAL[type(value)]}; allowed: {_EXPECTED[kind]}"
    if kind in _BOUNDS:
        what, allowed = _BOUNDS[kind]
        return f"{quoted(value)} {what}; allowed: {allowed.format(**context)}"
    if kind == "literal_error":
        return f"{quoted(value)} is unknown; allowed: {context['expected']}"
    if kind == "too_short":
        return f"is empty; allowed: {context['min_length']} or more"
    if kind == "finite_number":
        return f"{quoted(value)} is not finite; allowed: a finite number"
    return error["msg"]
