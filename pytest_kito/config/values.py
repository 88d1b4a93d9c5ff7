"""The types of single values in kito.yaml, each with its error message."""

from __future__ import annotations

import math
import os.path
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from kito.errors import nearest
from kito.export.formats.names import ENGINES, FORMAT_NAMES, FORMATS
from kito.rewrite.passes.names import PASSES
from kito.runtime.import_path import is_import_path
from pytest_kito.config.problems import quoted

Item = TypeVar("Item")


def wrong(text: str) -> PydanticCustomError:
    """The error to raise for a value; the text says what is wrong and what is allowed."""
    # The text is passed as a value, because pydantic would take its braces for a template.
    return PydanticCustomError("kito", "{text}", {"text": text})


def distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the values if none is listed twice."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise wrong(f"{quoted(value)} is listed twice; allowed: each once")
    return values


def _known_pass(name: str) -> str:
    if name not in PASSES:
        known = ", ".join(PASSES)
        raise wrong(f"unknown pass {quoted(name)}; {nearest(name, PASSES)}allowed: {known}")
    return name


def _installed(name: str, info: ValidationInfo) -> str:
    """Return the format's name; if the context says so, its packages must be installed.

    They need be for one framework only, as it is not known yet which one the model is of: see
    :func:`pytest_kito.config.agreement.unwritable_artifacts`.
    """
    if (info.context or {}).get("formats"):
        known = FORMAT_NAMES[name]
        lacks = [known.lack(framework) for framework in known.frameworks]
        if None not in lacks:
            raise wrong(f"{quoted(name)} {lacks[0]}")
    return name


def known_engines(engines: Mapping[str, Item]) -> Mapping[str, Item]:
    """Return the mapping if each of its keys is a format that an engine runs."""
    for name in engines:
        if name not in ENGINES:
            known = f"{nearest(name, ENGINES)}allowed: {', '.join(ENGINES)}"
            raise wrong(f"unknown engine {quoted(name)}; {known}")
    return engines


def _inside_unit_interval(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise wrong(f"{value} is out of range; allowed: more than 0 and less than 1")
    return value


def _seconds_or_auto(value: Any) -> Any:
    allowed = "allowed: a number of seconds, more than 0, or auto"
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(f"{quoted(value)} is neither; {allowed}")
    if not 0 < value < math.inf:
        raise wrong(f"{quoted(value)} is out of range; {allowed}")
    return float(value)


def _one_or_many(value: Any) -> Any:
    if not isinstance(value, int | list):
        raise wrong(f"{quoted(value)} is neither; allowed: a whole number, or a list of them")
    if value == []:
        raise wrong("is empty; allowed: 1 or more")
    return [value] if isinstance(value, int) else value


def _import_path(value: str) -> str:
    if not is_import_path(value):
        raise wrong(f"{quoted(value)} is not an import path; allowed: package.module:name")
    return value


def existing_file(value: str, info: ValidationInfo, allowed: str, hint: str = "") -> str:
    """Return the value if it names a file that exists, relative to the context's ``base``."""
    # Without a base the file cannot be looked up. Unlike pathlib, os.path accepts any text.
    base = (info.context or {}).get("base")
    if base is not None and not os.path.isfile(os.path.join(base, value)):
        where = f"allowed: {allowed}, relative to kito.yaml"
        raise wrong(f"there is no file {quoted(value)}; {hint}{where}")
    return value


def npz_or_callable(value: str, info: ValidationInfo) -> str:
    """Return the value if it names an .npz file that exists, or is an import path."""
    allowed = "an .npz file or package.module:callable"
    if value.endswith(".npz"):
        return existing_file(value, info, allowed)
    if not is_import_path(value):
        raise wrong(f"{quoted(value)} is neither; allowed: {allowed}")
    return value


# YAML has lists, not tuples: the list is converted, its elements stay strict.
LIST = Field(strict=False)
NonNegative = Annotated[float, Field(ge=0)]
ImportPath = Annotated[str, AfterValidator(_import_path)]
if TYPE_CHECKING:
    _FormatName = str
else:  # type checkers do not accept a Literal of computed values
    _FormatName = Literal[FORMATS]
Format = Annotated[_FormatName, AfterValidator(_installed)]
PassName = Annotated[
    str, AfterValidator(_known_pass), WithJsonSchema({"type": "string", "enum": list(PASSES)})
]
Confidence = Annotated[
    float,
    AfterValidator(_inside_unit_interval),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
]
Budget = Annotated[
    float | Literal["auto"],
    BeforeValidator(_seconds_or_auto),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "number", "exclusiveMinimum": 0}]}),
]
_BATCH: JsonDict = {"type": "integer", "minimum": 1}
BatchSizes = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...],
    LIST,
    BeforeValidator(_one_or_many),
    AfterValidator(distinct),
    WithJsonSchema(
        {"anyOf": [_BATCH, {"type": "array", "items": _BATCH, "minItems": 1, "uniqueItems": True}]}
    ),
]
UNIQUE: JsonDict = {"uniqueItems": True}
