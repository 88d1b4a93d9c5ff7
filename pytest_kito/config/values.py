"""The types of single values in kito.yaml, each with its message where a value is wrong."""

from __future__ import annotations

import os.path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from kito.errors import nearest
from kito.export.formats.names import FORMAT_NAMES
from kito.rewrite.passes.names import PASSES
from kito.runtime.import_path import is_import_path
from pytest_kito.config.problems import quoted

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
"""A model's name: it becomes the name of its artifacts."""

Item = TypeVar("Item")


def wrong(text: str) -> PydanticCustomError:
    """The error of a value, with a message that says what is wrong and what is allowed."""
    # The text goes in as a value: a brace in what the user wrote is no template.
    return PydanticCustomError("kito", "{text}", {"text": text})


def distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """The values, each of them there once."""
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
    """The name of a format whose packages are there, where the context asks for them."""
    kind = FORMAT_NAMES[name]
    if (info.context or {}).get("formats") and kind.missing:
        raise wrong(f"{quoted(name)} {kind.advice}")
    return name


def _inside_unit_interval(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise wrong(f"{value} is out of range; allowed: more than 0 and less than 1")
    return value


def _one_or_many(value: Any) -> Any:
    if not isinstance(value, int | list):
        raise wrong(f"{quoted(value)} is neither; allowed: a whole number, or a list of them")
    if value == []:
        raise wrong("is empty; allowed: 1 or more")
    return [value] if isinstance(value, int) else value


def _import_path(value: str) -> str:
    if not is_import_path(value):
        raise wrong(f"{quoted(value)} is no import path; allowed: package.module:name")
    return value


def existing_file(value: str, info: ValidationInfo, allowed: str, hint: str = "") -> str:
    """The value, the name of a file that is there; relative to the context's ``base``."""
    # Without a base nobody knows where the file would be. os.path takes hostile text too.
    base = (info.context or {}).get("base")
    if base is not None and not os.path.isfile(os.path.join(base, value)):
        where = f"allowed: {allowed}, relative to kito.yaml"
        raise wrong(f"there is no file {quoted(value)}; {hint}{where}")
    return value


# A list is what YAML has for a tuple; the elements stay strict.
LIST = Field(strict=False)
NonNegative = Annotated[float, Field(ge=0)]
ImportPath = Annotated[str, AfterValidator(_import_path)]
Format = Annotated[
    Literal["keras", "saved_model", "onnx", "openvino", "litert"], AfterValidator(_installed)
]
PassName = Annotated[
    str, AfterValidator(_known_pass), WithJsonSchema({"type": "string", "enum": list(PASSES)})
]
Confidence = Annotated[
    float,
    AfterValidator(_inside_unit_interval),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
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
