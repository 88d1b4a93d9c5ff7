"""Runs a test that uses a model fixture once per declared model."""

from __future__ import annotations

import pytest


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test by all declared models, or by those of its marker ``kito_model``.

    Raises:
        pytest.UsageError: the marker names a model that is not declared.
    """
    from pytest_kito.session.hooks import gate_of

    names = [spec.name for spec in gate_of(metafunc.config).config.models]
    marker = metafunc.definition.get_closest_marker("kito_model")
    if marker is not None:
        unknown = [name for name in marker.args if name not in names]
        if unknown or marker.kwargs or not marker.args:
            raise pytest.UsageError(
                f"{metafunc.definition.nodeid}: kito_model takes names of models declared in "
                f"kito.yaml, not {unknown or marker.kwargs or 'nothing'}; declared: "
                f"{', '.join(names)}"
            )
        names = list(dict.fromkeys(marker.args))
    metafunc.parametrize("kito_model_name", names, indirect=True, scope="session")
