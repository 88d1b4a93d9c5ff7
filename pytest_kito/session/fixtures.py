"""Fixtures that hand reduced models to the users' own tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kito.rewrite.reduction import Reduction
    from kito.rewrite.torch.reduce import TorchReduction
    from pytest_kito.checks.model_run import ModelRun


@pytest.fixture(scope="session")
def kito_model_name(request: pytest.FixtureRequest) -> str:
    """The name of the declared model that the test runs with; tests are parametrized by it."""
    return str(request.param)


@pytest.fixture
def kito_reduction(
    kito_model_name: str, request: pytest.FixtureRequest
) -> Reduction | TorchReduction:
    """The :class:`kito.Reduction`, or :class:`kito.TorchReduction`, of a declared model."""
    reduction: Reduction | TorchReduction = _run(request, kito_model_name).reduction()
    return reduction


@pytest.fixture
def kito_reduced(kito_reduction: Reduction | TorchReduction) -> Any:
    """The reduced ``keras.Model``, or ``torch.nn.Module``, of each model declared in kito.yaml.

    A test that uses it runs once per declared model; ``@pytest.mark.kito_model("name", ...)``
    selects the models.
    """
    return kito_reduction.model


@pytest.fixture
def kito_original(kito_model_name: str, request: pytest.FixtureRequest) -> Any:
    """The original ``keras.Model``, or ``torch.nn.Module``, of each declared model."""
    from kito.graph.torch_model import as_given

    return as_given(_run(request, kito_model_name).original())


@pytest.fixture(scope="session")
def kito_reduce() -> Callable[..., Any]:
    """A function that returns the reduced model of a model that the test builds itself.

    It takes the arguments of :func:`kito.reduce`, or with a ``torch.nn.Module`` those of
    :func:`kito.reduce_torch`.
    """

    def reduce(model: Any, **options: Any) -> Any:
        import kito
        from kito.graph.torch_model import is_torch_module

        if is_torch_module(model):
            return kito.reduce_torch(model, **options).module
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
