"""Finds what looks as if it built a model, by its source alone: no code is run.

That is a function; for PyTorch, also a class of modules that is not used in its own file, as blocks
of networks are.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from kito.runtime.bounded import read_file
from pytest_kito.config.starter.find import walk

_MOST_BYTES = 1_000_000
"""The largest source that is read."""
_MOST_SOURCES = 2000
_KERAS = {"keras", "tensorflow", "keras_hub", "keras_cv", "kimm"}
_TORCH = {"torch", "torchvision", "timm"}
_OTHER_FOLDERS = {"test", "tests", "docs", "build", "dist"}
_NAME = re.compile(r"(?:build|create|make|get)_(?P<what>\w+)|(?P<front>\w+)_model")
_KERAS_MODEL = re.compile(r"\b(Model|Sequential|Functional)\b")
_TORCH_MODULE = re.compile(r"\b(Module|Sequential)\b")
_OTHER_THINGS = re.compile(
    r"loss|optimi[sz]er|metric|callback|dataset|data|parser|layer|config|logger|argument|schedule"
)


@dataclass(frozen=True)
class Builder:
    """A function that seems to return a model, or a class of PyTorch modules.

    Attributes:
        source: its import path, as ``source`` in kito.yaml.
        name: what it builds: ``unet`` for ``build_unet``.
        where: its file and line.
        required: the names of the arguments that it must be given.
        framework: ``keras`` or ``torch``, as ``framework`` in kito.yaml.
    """

    source: str
    name: str
    where: str
    required: tuple[str, ...]
    framework: str = "keras"


@dataclass(frozen=True)
class Sources:
    """What the Python files of a repository hold.

    Attributes:
        builders: what seems to build a model, in order of their files and lines.
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
        if frameworks := _frameworks(tree):
            builders += _builders(tree, frameworks, module, where)
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


def _frameworks(tree: ast.Module) -> list[str]:
    """The frameworks that a file imports; Keras goes first."""
    packages = set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        packages |= {name.partition(".")[0] for name in names}
    known = {"keras": _KERAS, "torch": _TORCH}
    return [framework for framework, those in known.items() if those & packages]


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


def _builders(
    tree: ast.Module, frameworks: list[str], module: str, where: str
) -> Iterator[Builder]:
    called = {x.func.id for x in ast.walk(tree) if isinstance(x, ast.Call) and _is_name(x.func)}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if isinstance(node, ast.FunctionDef):
            required = _required(node.args)
            found = _what_it_builds(node, frameworks, bool(required))
        else:
            if node.name in called or not _is_network(node, frameworks):
                continue
            required, found = _required_by_class(node), (node.name.lower(), "torch")
        if found is not None:
            name, framework = found
            at = f"{where}:{node.lineno}"
            yield Builder(f"{module}:{node.name}", name, at, required, framework)


def _is_name(node: ast.expr) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name)


def _what_it_builds(
    node: ast.FunctionDef, frameworks: list[str], takes_arguments: bool
) -> tuple[str, str] | None:
    """The name of the model that a function seems to return, and its framework; or None."""
    match = _NAME.fullmatch(node.name)
    name = node.name if match is None else match["what"] or match["front"]
    if node.returns is not None:
        # What returns a model and needs no arguments builds one, whatever its name.
        kind = ast.unparse(node.returns)
        patterns = {"keras": _KERAS_MODEL, "torch": _TORCH_MODULE}
        returned = [x for x in frameworks if patterns[x].search(kind)]
        if len(returned) > 1:  # keras.Sequential or nn.Sequential
            returned = ["torch" if re.search(r"\b(nn|torch)\.", kind) else "keras"]
        return (name, returned[0]) if returned and (match or not takes_arguments) else None
    if match is None or _OTHER_THINGS.search(name):
        return None
    builds = node.name.startswith("build_") or re.search("model|net", node.name)
    return (name, frameworks[0]) if builds else None


def _is_network(node: ast.ClassDef, frameworks: list[str]) -> bool:
    """Whether a class is one of PyTorch modules that can be run."""
    bases = {ast.unparse(base) for base in node.bases}
    methods = {x.name for x in node.body if isinstance(x, ast.FunctionDef)}
    is_module = bool({"nn.Module", "torch.nn.Module", "Module"} & bases)
    loss = _OTHER_THINGS.search(node.name.lower())
    return "torch" in frameworks and is_module and "forward" in methods and not loss


def _required_by_class(node: ast.ClassDef) -> tuple[str, ...]:
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return _required(method.args)[1:]  # without self
    return ()


def _required(arguments: ast.arguments) -> tuple[str, ...]:
    positional = [*arguments.posonlyargs, *arguments.args]
    given = len(positional) - len(arguments.defaults)
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    named = [argument for argument, default in keywords if default is None]
    return tuple(argument.arg for argument in [*positional[:given], *named])
