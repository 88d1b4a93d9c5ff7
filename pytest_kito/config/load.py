"""kito.yaml -> typed, frozen specs, or every problem of the file at once.

Importing this module does not import Keras: a file is validated before anything is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kito.errors import counted
from pytest_kito.config.agreement import keras_only, missing_artifacts, unwritable_artifacts
from pytest_kito.config.defaults import origin, with_defaults
from pytest_kito.config.names import NAME_RULE, is_safe_name
from pytest_kito.config.problems import ConfigError, KeyPath, Problem, explain, quoted
from pytest_kito.config.schema import KitoFile, ModelKeys, known_keys
from pytest_kito.config.yaml_lines import YamlFile, read_yaml

__all__ = ["Config", "ConfigError", "ModelSpec", "load_config"]

MAX_BYTES = 1_000_000
"""Largest size of a file; a thousand models with all their keys fit."""

_MOST_PROBLEMS = 100
"""The most problems that are listed of one file."""


class ModelSpec(ModelKeys):
    """One declared model: its name, its keys with the defaults filled in, and its line."""

    name: str
    """The key under ``models``."""
    line: int
    """The line of the name in the file, from 1."""


@dataclass(frozen=True)
class Config:
    """The models that a kito.yaml declares."""

    path: Path
    """The file."""
    shown: str
    """The file's name in messages, relative to the root directory if the file is inside it."""
    models: tuple[ModelSpec, ...]
    """The models, in the order of the file."""

    @property
    def base(self) -> Path:
        """The directory of the file. Paths in the file are relative to it."""
        return self.path.parent


def load_config(path: Path, *, root: Path | None = None, formats: bool = False) -> Config:
    """Read and check a kito.yaml.

    Args:
        path: the file.
        root: messages show the file's path relative to this directory; None shows ``path`` itself.
        formats: whether the backend of Keras must be able to write every declared artifact format,
            and its packages be installed.

    Raises:
        ConfigError: the file cannot be read or is invalid; ``.errors`` holds every problem.
    """
    shown = str(path)
    if root is not None and path.is_relative_to(root):
        shown = path.relative_to(root).as_posix()
    document = read_yaml(_read(path, shown))
    merged, too_many = with_defaults(document.value, document.lines)
    context = {"base": path.parent, "formats": formats}
    file, invalid = (None, [too_many]) if too_many else _validate(merged, document, context)
    names = document.value.get("models") if isinstance(document.value, dict) else None
    name_problems = _check_names(names, document.lines)
    models: tuple[ModelSpec, ...] = ()
    if file is not None:
        models = tuple(_spec(name, keys, file, document) for name, keys in file.models.items())
    disagreeing = _disagreeing(models, document, formats)
    problems = _unique((*document.problems, *name_problems, *invalid, *disagreeing))
    if file is None or problems:
        raise ConfigError(_listed(problems, shown))
    return Config(path, shown, models)


def _spec(name: str, keys: ModelKeys, file: KitoFile, document: YamlFile) -> ModelSpec:
    """A model with the sections that it does not write itself shared with all the others."""
    values = {
        field: getattr(
            keys if field in keys.model_fields_set or field == "source" else file.defaults, field
        )
        for field in ModelKeys.model_fields
    }
    written = keys.model_fields_set | file.defaults.model_fields_set
    if values["framework"] == "torch" and "artifacts" not in written:
        values["artifacts"] = ("torch",)
    # The keys are validated already: model_construct() does not validate them again.
    return ModelSpec.model_construct(**values, name=name, line=document.lines["models", name])


def _listed(problems: Sequence[Problem], file: str) -> Iterator[str]:
    yield from (problem.shown(file) for problem in problems[:_MOST_PROBLEMS])
    if more := problems[_MOST_PROBLEMS:]:
        what = f"and {counted(len(more), 'more problem')}; correct those above first"
        yield Problem(more[0].line, (), what).shown(file)


def _read(path: Path, shown: str) -> str:
    def unreadable(what: str, line: int = 1) -> ConfigError:
        return ConfigError([Problem(line, (), what).shown(shown)])

    try:
        # Reading a pipe or a device could block or never end.
        if path.exists() and not path.is_file():
            raise unreadable("not a file; name a YAML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise unreadable(
            "there is no such file; write one, or name it with --kito-config"
        ) from None
    except OSError as error:
        raise unreadable(f"cannot be read: {error.strerror}; check its permissions") from error
    if len(data) > MAX_BYTES:
        raise unreadable(f"larger than {MAX_BYTES} bytes; use 'defaults' for what models share")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise unreadable("not UTF-8; save it in this encoding", line) from error


def _validate(
    merged: Any, document: YamlFile, context: dict[str, Any]
) -> tuple[KitoFile | None, list[Problem]]:
    if not isinstance(merged, dict):
        what = "is empty" if merged is None else f"holds {quoted(merged)}, which is not a mapping"
        return None, [Problem(1, (), f"{what}; write 'version: 1' and 'models:'")]
    try:
        return KitoFile.model_validate(merged, context=context), []
    except ValidationError as error:
        problems = []
        for details in error.errors(include_url=False):
            at = origin(details["loc"], document.value)
            text = explain(details, known_keys(at[:-1]))
            problems.append(Problem(_line(at, document.lines), at, text))
        return None, problems


def _disagreeing(
    models: Iterable[ModelSpec], document: YamlFile, formats: bool
) -> Iterator[Problem]:
    """What sections of a model ask of each other, each of which may come from ``defaults``."""
    for spec in models:
        found = [*missing_artifacts(spec.name, spec), *keras_only(spec.name, spec)]
        found += unwritable_artifacts(spec.name, spec) if formats else []
        for path, text in found:
            at = origin(path, document.value)
            yield Problem(_line(at, document.lines), at, text)


def _unique(problems: Iterable[Problem]) -> list[Problem]:
    """The first problem of each path, sorted by line: every model repeats that of a default."""
    first: dict[KeyPath, Problem] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
    return sorted(first.values(), key=lambda problem: problem.line)


def _check_names(models: Any, lines: Mapping[KeyPath, int]) -> Iterator[Problem]:
    """The names that are unsafe as file names, or that differ only in case."""
    first_of: dict[str, str] = {}
    for name in models if isinstance(models, dict) else ():
        at = ("models", name)
        first = first_of.setdefault(name.lower(), name)
        if not is_safe_name(name):
            yield Problem(lines[at], at, f"not a safe file name; allowed: {NAME_RULE}")
        elif first != name:
            what = f"the same file name as {quoted(first)} where case is ignored; rename one"
            yield Problem(lines[at], at, what)


def _line(path: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """The line of the path, or of the nearest enclosing key that is in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)
