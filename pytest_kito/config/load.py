"""kito.yaml -> typed, frozen specs, or every problem of the file at once.

Importing this module imports no Keras: a file is judged before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_kito.config.problems import ConfigError, KeyPath, Problem, dotted, explain, quoted
from pytest_kito.config.schema import KitoFile, ModelKeys, known_keys
from pytest_kito.config.values import NAME_PATTERN
from pytest_kito.config.yaml_lines import read_yaml

__all__ = ["Config", "ConfigError", "ModelSpec", "load_config"]

MAX_BYTES = 1_000_000
"""Size of a file; a thousand models with all their keys fit in."""

_WINDOWS = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_NAMES = (
    "letters, digits, '-', '_' and '.', first a letter, a digit or '_', at most 100 characters, "
    "no name that Windows reserves (con, nul, com1)"
)


class ModelSpec(ModelKeys):
    """One declared model: its keys, the defaults filled in, its name, and where it is written."""

    name: str
    """The key under ``models``."""
    line: int
    """The line of the name in the file, from 1."""
    lines: Mapping[str, int]
    """The line of each key that is written, here or under ``defaults``, as in ``speedup.min``."""

    def line_of(self, key: str) -> int:
        """The line of a dotted key, or of the nearest written key around it, or of the name."""
        while key:
            if key in self.lines:
                return self.lines[key]
            key = key.rpartition(".")[0]
        return self.line


@dataclass(frozen=True)
class Config:
    """What a kito.yaml declares."""

    path: Path
    """The file; whatever it names is relative to its directory."""
    shown: str
    """The file's name for people, relative to the root directory where it is inside."""
    models: tuple[ModelSpec, ...]
    """In the order of the file."""

    @property
    def base(self) -> Path:
        """The directory of the file."""
        return self.path.parent


def load_config(path: Path, *, root: Path | None = None, formats: bool = False) -> Config:
    """Read and check a kito.yaml.

    Args:
        path: the file.
        root: directory that messages name the file relative to; None: as ``path`` is.
        formats: whether the packages of each declared format of artifacts must be installed.

    Raises:
        ConfigError: the file cannot be read or is not valid; ``.errors`` holds every problem.
    """
    shown = str(path)
    if root is not None and path.is_relative_to(root):
        shown = path.relative_to(root).as_posix()
    document = read_yaml(_read(path, shown))
    merged, inherited = _with_defaults(document.value)
    context = {"base": path.parent, "formats": formats}
    file, invalid = _validate(merged, inherited, document.lines, context)
    names = merged.get("models") if isinstance(merged, dict) else None
    problems = _once((*document.problems, *_bad_names(names, document.lines), *invalid))
    if file is None or problems:
        raise ConfigError(problem.shown(shown) for problem in problems)
    written = _written(document.lines, inherited, file.models)
    # The keys are checked already, and hold their sections as they are.
    models = tuple(
        ModelSpec.model_construct(
            **{field: getattr(keys, field) for field in ModelKeys.model_fields},
            name=name,
            line=document.lines["models", name],
            lines=written[name],
        )
        for name, keys in file.models.items()
    )
    return Config(path, shown, models)


def _read(path: Path, shown: str) -> str:
    def refused(what: str, line: int = 1) -> ConfigError:
        return ConfigError([Problem(line, (), what).shown(shown)])

    try:
        # Opening a pipe or a device could wait, or go on, for ever.
        if path.exists() and not path.is_file():
            raise refused("not a file; name a YAML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise refused("there is no such file; write one, or name it with --kito-config") from None
    except OSError as error:
        raise refused(f"cannot be read: {error.strerror}; check its permissions") from error
    if len(data) > MAX_BYTES:
        raise refused(f"larger than {MAX_BYTES} bytes; use 'defaults' for what models share")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refused("not UTF-8; save it in this encoding", line) from error


def _validate(
    merged: Any,
    inherited: frozenset[KeyPath],
    lines: Mapping[KeyPath, int],
    context: dict[str, Any],
) -> tuple[KitoFile | None, list[Problem]]:
    if not isinstance(merged, dict):
        what = "is empty" if merged is None else f"holds {quoted(merged)}, which is no mapping"
        return None, [Problem(1, (), f"{what}; write 'version: 1' and 'models:'")]
    try:
        return KitoFile.model_validate(merged, context=context), []
    except ValidationError as error:
        problems = []
        for details in error.errors(include_url=False):
            at = _origin(details["loc"], inherited)
            text = explain(details, known_keys(at[:-1]))
            problems.append(Problem(_line(at, lines), at, text))
        return None, problems


def _once(problems: Iterable[Problem]) -> list[Problem]:
    """One problem a place, by line: a wrong default is found again in each model."""
    first: dict[KeyPath, Problem] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
    return sorted(first.values(), key=lambda problem: problem.line)


def _with_defaults(raw: Any) -> tuple[Any, frozenset[KeyPath]]:
    """The file with ``defaults`` merged under each model, and the paths that came from there."""
    match raw:
        case {"defaults": dict(defaults), "models": dict(models)}:
            pass
        case _:
            return raw, frozenset()
    shared = {key: value for key, value in defaults.items() if key != "source"}
    inherited: set[KeyPath] = set()
    merged = {
        name: _merge(shared, own, ("models", name), inherited) if isinstance(own, dict) else own
        for name, own in models.items()
    }
    return {**raw, "models": merged}, frozenset(inherited)


def _merge(
    under: Mapping[str, Any], own: Mapping[str, Any], at: KeyPath, inherited: set[KeyPath]
) -> dict[str, Any]:
    merged = dict(own)
    for key, value in under.items():
        if key not in own:
            merged[key] = value
            inherited.add((*at, key))
        elif isinstance(value, dict) and isinstance(own[key], dict):
            merged[key] = _merge(value, own[key], (*at, key), inherited)
    return merged


def _bad_names(models: Any, lines: Mapping[KeyPath, int]) -> Iterator[Problem]:
    """Names that are no safe names of files, on any system."""
    taken: dict[str, str] = {}
    for name in models if isinstance(models, dict) else ():
        at = ("models", name)
        same = taken.setdefault(name.lower(), name)
        if not re.fullmatch(NAME_PATTERN, name) or _WINDOWS.fullmatch(name):
            yield Problem(lines[at], at, f"not a safe file name; allowed: {_NAMES}")
        elif same != name:
            what = f"the same file name as {quoted(same)} where case is ignored; rename one"
            yield Problem(lines[at], at, what)


def _origin(path: KeyPath, inherited: frozenset[KeyPath]) -> KeyPath:
    """Where in the file the value at ``path`` of the merged file was written."""
    if any(path[:length] in inherited for length in range(len(path) + 1)):
        return ("defaults", *path[2:])
    return path


def _line(path: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """The line of the path, or of the nearest key around it that is written."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _written(
    lines: Mapping[KeyPath, int], inherited: frozenset[KeyPath], names: Iterable[str]
) -> dict[str, dict[str, int]]:
    """For each model, the lines of its keys, those it inherits included."""
    shared = [(path[1:], line) for path, line in lines.items() if path[0] == "defaults"]
    written = {
        name: {
            dotted(rest): line
            for rest, line in shared
            if _origin(("models", name, *rest), inherited)[0] == "defaults"
        }
        for name in names
    }
    for path, line in lines.items():
        if path[0] == "models" and len(path) > 2:
            written[str(path[1])][dotted(path[2:])] = line
    return written
