"""The public names of the package, and its warning of the old distribution."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings

import pytest

import kito


def test_the_public_names_are_there() -> None:
    assert all(getattr(kito, name) is not None for name in kito.__all__)
    assert set(kito.__all__) <= set(dir(kito))
    with pytest.raises(AttributeError, match="no attribute 'melt'"):
        _ = kito.melt  # type: ignore[attr-defined]


def test_the_old_distribution_beside_ours_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        return "1.0.5" if name == "kito" else real(name)

    def load() -> None:
        spec = importlib.util.find_spec("kito")
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load()
    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.warns(UserWarning, match=r"old distribution 'kito' 1\.0\.5.*pip uninstall kito"):
        load()
