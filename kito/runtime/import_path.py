"""Objects named by an import path, ``package.module:name`` or ``package.module.name``.

Importable without Keras: a configuration is checked with it before anything is built.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from kito.errors import KitoError, describe, nearest

_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)"
_IMPORT_PATH = re.compile(rf"{_DOTTED}*:{_DOTTED}*|{_DOTTED}+")

MODEL_FILES = (".keras", ".h5")
"""The suffixes of files that hold a model; a source that ends so is a file, not an import path."""


def is_import_path(text: str) -> bool:
    """Whether the text has the form of an import path; nothing is imported."""
    return _IMPORT_PATH.fullmatch(text) is not None


@contextlib.contextmanager
def importable(base: Path) -> Iterator[None]:
    """Inside the ``with``, the modules of the directory ``base`` can be imported."""
    entry = str(base.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(entry)


def import_object(path: str, *, base: Path) -> Any:
    """Import the object that an import path names.

    Args:
        path: ``package.module:name`` or ``package.module.name``.
        base: a directory whose modules can be imported too; they take precedence.

    Raises:
        KitoError: there is no such module or name (the message names the nearest ones), or
            importing it raised.
    """
    if not is_import_path(path):
        raise KitoError(f"{path!r} is not an import path; write package.module:name")
    with importable(base):
        if ":" in path:
            module_name, names = path.split(":")
            found: Any = _module(module_name, path)
            if found is None:
                raise _no_module(module_name, path)
            return _attribute(found, module_name, names.split("."), path)
        # Dotted: find the longest leading part that is a module; the rest are names inside it.
        parts = path.split(".")
        for length in range(len(parts) - 1, 0, -1):
            module_name = ".".join(parts[:length])
            found = _module(module_name, path)
            if found is not None:
                return _attribute(found, module_name, parts[length:], path)
        raise _no_module(parts[0], path)


def _module(name: str, path: str) -> ModuleType | None:
    """The module, or None if there is no such module; KitoError if importing it fails."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise KitoError(
            f"{path!r} cannot be imported: module {name!r} needs {error.name!r}, "
            "which is not installed"
        ) from error
    except (Exception, SystemExit) as error:
        raise KitoError(
            f"{path!r} cannot be imported: importing {name!r} raised {describe(error)}"
        ) from error


def _no_module(name: str, path: str) -> KitoError:
    """The error that names the first part of ``name`` that is missing, and similar names."""
    parts = name.split(".")
    parent: ModuleType | None = None
    reached = 0
    while (module := _module(".".join(parts[: reached + 1]), path)) is not None:
        parent = module
        reached += 1
    missing = ".".join(parts[: reached + 1])
    # iter_modules(None) lists the top-level modules.
    where = None if parent is None else getattr(parent, "__path__", [])
    hint = nearest(parts[reached], (info.name for info in pkgutil.iter_modules(where)))
    return KitoError(
        f"{path!r} cannot be imported: there is no module {missing!r}; "
        f"{hint}check the name, and that it is installed"
    )


def _attribute(module: ModuleType, reached: str, names: list[str], path: str) -> Any:
    """Look up the names one after another, from the module; ``reached`` is what the user wrote."""
    found: Any = module
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError:
            hint = nearest(name, dir(found))
            raise KitoError(
                f"{path!r} cannot be imported: {reached!r} has no {name!r}; {hint}check the name"
            ) from None
        reached = f"{reached}.{name}"
    return found
