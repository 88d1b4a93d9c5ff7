"""The public names of the package, and its warning of the old distribution."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path

import pytest

import kito


def test_the_public_names_are_there() -> None:
    assert all(getattr(kito, name) is not None for name in kito.__all__)
    assert set(kito.__all__) <= set(dir(kito))
    with pytest.raises(AttributeError, match="no attribute 'melt'"):
        _ = kito.melt  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["kito-1.0.5.dist-info", "kito-1.0.5-py3.7.egg-info"])
def test_the_old_distribution_beside_ours_is_warned_of(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> None:
        spec = importlib.util.find_spec("kito")
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    (tmp_path / "pytest_kito-0.1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(tmp_path / "missing")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load()
    (tmp_path / name).mkdir()
    with pytest.warns(UserWarning, match=r"'kito' 1\.0\.5 is installed.*pip uninstall kito"):
        load()
