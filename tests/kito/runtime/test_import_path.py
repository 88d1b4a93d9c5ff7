from __future__ import annotations

import os.path
import sys
from pathlib import Path

import pytest

from kito.errors import KitoError
from kito.runtime.import_path import import_object, is_import_path


@pytest.mark.parametrize(
    "path", ["a:b", "a.b", "a.b.c:D.e", "keras.applications.MobileNetV2", "_a:b1"]
)
def test_import_paths(path: str) -> None:
    assert is_import_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "name", "a/b.c", "a:b:c", "a..b", ".a.b", "a.", "a:", "1a.b", "a.b()", "a b.c", "a.b\n"],
)
def test_no_import_paths(path: str, tmp_path: Path) -> None:
    assert not is_import_path(path)
    with pytest.raises(KitoError, match=r"write package\.module:name"):
        import_object(path, base=tmp_path)


@pytest.mark.parametrize("path", ["os.path:join", "os:path.join", "os.path.join"])
def test_every_form_finds_the_same_object(path: str, tmp_path: Path) -> None:
    assert import_object(path, base=tmp_path) is os.path.join


def test_modules_of_the_base_are_importable_only_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "kito_importing_own.py").write_text("VALUE = 7\n")
    before = list(sys.path)
    assert import_object("kito_importing_own:VALUE", base=tmp_path) == 7
    assert sys.path == before


@pytest.mark.parametrize(
    "path, says",
    [
        (
            "kito_imp_pakage.net:build",
            "no module 'kito_imp_pakage'; did you mean 'kito_imp_package'",
        ),
        ("kito_imp_package.ent:build", "no module 'kito_imp_package.ent'; did you mean 'net'"),
        (
            "kito_imp_package.net:biuld",
            "'kito_imp_package.net' has no 'biuld'; did you mean 'build'",
        ),
        (
            "kito_imp_package.net.biuld",
            "'kito_imp_package.net' has no 'biuld'; did you mean 'build'",
        ),
        ("kito_imp_package.net.build.x", "'kito_imp_package.net.build' has no 'x'"),
        ("kito_imp_package.needy:build", "needs 'kito_imp_absent', which is not installed"),
        ("kito_imp_package.broken:build", "raised ZeroDivisionError: division by zero"),
        ("kito_imp_package.syntax:build", "raised SyntaxError"),
        ("kito_imp_package.leaves:build", "raised SystemExit: 3"),
    ],
)
def test_what_is_missing_is_named(path: str, says: str, tmp_path: Path) -> None:
    package = tmp_path / "kito_imp_package"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "net": "def build(): ...\n",
        "needy": "import kito_imp_absent\n",
        "broken": "1 / 0\n",
        "syntax": "def\n",
        "leaves": "raise SystemExit(3)\n",
    }.items():
        (package / f"{name}.py").write_text(text)
    try:
        with pytest.raises(KitoError) as raised:
            import_object(path, base=tmp_path)
    finally:
        for module in [name for name in sys.modules if name.startswith("kito_imp_package")]:
            del sys.modules[module]
    assert says in str(raised.value)
    assert repr(path) in str(raised.value)
