"""Fixtures that hand reduced models to the users' own tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kito.rewrite.reduction import Reduction
    from pytest_kito.checks.model_run import ModelRun


@pytest.fixture(scope="session")
def kito_model_name(request: pytest.FixtureRequest) -> str:
    """The name of the declared model that the test runs with; tests are parametrized by it."""
    return str(request.param)


@pytest.fixture
def kito_reduction(kito_model_name: str, request: pytest.FixtureRequest) -> Reduction:
    """The :class:`kito.Reduction` of a model declared in kito.yaml."""
    return _run(request, kito_model_name).reduction()


@pytest.fixture
def kito_reduced(kito_reduction: Reduction) -> Any:
    """The reduced ``keras.Model`` of each model declared in kito.yaml.

    A test that uses it runs once per declared model; ``@pytest.mark.kito_model("name", ...)``
    selects the models.
    """
    return kito_reduction.model


@pytest.fixture
def kito_original(kito_model_name: str, request: pytest.FixtureRequest) -> Any:
    """The original ``keras.Model`` of each model declared in kito.yaml."""
    return _run(request, kito_model_name).original()


@pytest.fixture(scope="session")
def kito_reduce() -> Callable[..., Any]:
    """A function that returns the reduced model of a model that the test builds itself.

    It takes the arguments of :func:`kito.reduce`.
    """

    def reduce(model: Any, **options: Any) -> Any:
        import kito

        return kito.reduce(model, **options).model

    return reduce


def _run(request: pytest.FixtureRequest, name: str) -> ModelRun:
    from kito.errors import KitoError
    from pytest_kito.session.hooks import gate_of

    run = gate_of(request.config).run(name)
    try:
        run.reduction()
    except KitoError as error:
        pytest.fail(f"model '{name}' of kito.yaml: {error}", pytrace=False)
    return run
