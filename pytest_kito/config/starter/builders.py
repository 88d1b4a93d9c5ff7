"""Finds functions that look as if they built a model, by their source alone: no code is run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kito.runtime.bounded import read_file
from pytest_kito.config.starter.find import walk

_MOST_BYTES = 1_000_000
"""The largest source that is read."""
_MOST_SOURCES = 2000
_FRAMEWORKS = {"keras", "tensorflow", "keras_hub", "keras_cv", "kimm"}
_OTHER_FOLDERS = {"test", "tests", "docs", "build", "dist"}
_NAME = re.compile(r"(?:build|create|make|get)_(?P<what>\w+)|(?P<front>\w+)_model")
_MODEL = re.compile(r"\b(Model|Sequential|Functional)\b")
_OTHER_THINGS = re.compile(
    r"loss|optimi[sz]er|metric|callback|dataset|data|parser|layer|config|logger|argument|schedule"
)


@dataclass(frozen=True)
class Builder:
    """A function that seems to return a model.

    Attributes:
        source: its import path, as ``source`` in kito.yaml.
        name: what it builds: ``unet`` for ``build_unet``.
        where: its file and line.
        required: the names of the arguments that it must be given.
    """

    source: str
    name: str
    where: str
    required: tuple[str, ...]


@dataclass(frozen=True)
class Sources:
    """What the Python files of a repository hold.

    Attributes:
        builders: functions that seem to return a model, in order of their files and lines.
        custom_objects: the import paths of dicts of that name.
    """

    builders: tuple[Builder, ...]
    custom_objects: tuple[str, ...]


def find_builders(directory: Path) -> Sources:
    """Look through the Python files below a directory; tests, and what cannot be read, are left."""
    builders: list[Builder] = []
    dicts: list[str] = []
    for path, module in _modules(directory):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of invalid escapes, say
                tree = ast.parse(read_file(path, _MOST_BYTES))
        except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        where = path.relative_to(directory).as_posix()
        dicts += [f"{module}:{name}" for name in _dicts(tree)]
        if _imports_a_framework(tree):
            builders += _builders(tree, module, where)
    return Sources(tuple(builders), tuple(dicts))


def _modules(directory: Path) -> Iterator[tuple[Path, str]]:
    """The Python files that can be imported from the directory, each with its dotted name."""
    count = 0
    # Of the layout with a folder src, what is installed are the packages inside.
    inside = (directory / "src").is_dir() and not (directory / "src" / "__init__.py").exists()
    for folder, names in walk(directory):
        parts = folder.relative_to(directory).parts
        if _OTHER_FOLDERS & set(parts):
            continue
        for name in names:
            stem = name.removesuffix(".py")
            of_tests = stem.startswith("test_") or stem.endswith("_test") or stem == "conftest"
            if not name.endswith(".py") or of_tests or stem == "setup":
                continue
            count += 1
            if count > _MOST_SOURCES:
                return
            dotted = [*parts, stem]
            if inside and parts and parts[0] == "src":
                dotted = dotted[1:]
            if len(dotted) > 1 and stem == "__init__":
                dotted = dotted[:-1]
            if all(map(str.isidentifier, dotted)):
                yield folder / name, ".".join(dotted)


def _imports_a_framework(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        if any(name.partition(".")[0] in _FRAMEWORKS for name in names):
            return True
    return False


def _dicts(tree: ast.Module) -> Iterator[str]:
    """The names of dicts of custom objects, such as ``CUSTOM_OBJECTS = {"Block": Block}``."""
    for node in tree.body:
        targets: list[ast.expr] = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if (
                isinstance(target, ast.Name)
                and target.id.lower() == "custom_objects"
                and isinstance(node, ast.Assign | ast.AnnAssign)
                and isinstance(node.value, ast.Dict)
            ):
                yield target.id


def _builders(tree: ast.Module, module: str, where: str) -> Iterator[Builder]:
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        required = _required(node.args)
        name = _what_it_builds(node, bool(required))
        if name is not None:
            yield Builder(f"{module}:{node.name}", name, f"{where}:{node.lineno}", required)


def _what_it_builds(node: ast.FunctionDef, takes_arguments: bool) -> str | None:
    """The name of the model that a function seems to return; None if it does not seem to."""
    match = _NAME.fullmatch(node.name)
    name = node.name if match is None else match["what"] or match["front"]
    if node.returns is not None:
        # What returns a model and needs no arguments builds one, whatever its name.
        returns = _MODEL.search(ast.unparse(node.returns)) is not None
        return name if returns and (match or not takes_arguments) else None
    if match is None or _OTHER_THINGS.search(name):
        return None
    return name if node.name.startswith("build_") or re.search("model|net", node.name) else None


def _required(arguments: ast.arguments) -> tuple[str, ...]:
    positional = [*arguments.posonlyargs, *arguments.args]
    given = len(positional) - len(arguments.defaults)
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    named = [argument for argument, default in keywords if default is None]
    return tuple(argument.arg for argument in [*positional[:given], *named])
