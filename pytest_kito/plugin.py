"""The pytest plugin: its options, and the hooks that start the gate when a session needs it.

The hooks of the gate are a plugin of their own, :class:`pytest_kito.session.hooks.GateHooks`. The
option ``--kito-check`` or the first use of a model fixture registers it. Any other session does not
import it.
"""

from __future__ import annotations

import pytest

from pytest_kito.session.fixtures import (
    kito_model_name,
    kito_original,
    kito_reduce,
    kito_reduced,
    kito_reduction,
)
from pytest_kito.session.options import Options, add_options

__all__ = [
    "kito_model_name",
    "kito_original",
    "kito_reduce",
    "kito_reduced",
    "kito_reduction",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ``--kito-…`` options and the ini values of the same names."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; with ``--kito-check``, start the gate."""
    config.addinivalue_line("markers", "kito: a check of a model declared in kito.yaml")
    config.addinivalue_line(
        "markers",
        "kito_model(*names): run a test that uses kito_reduced, kito_original or kito_reduction "
        "with these models of kito.yaml only",
    )
    options = Options.from_config(config)
    if options.check:
        from pytest_kito.session.hooks import start

        start(config, options)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a model fixture once per declared model."""
    if "kito_model_name" in metafunc.fixturenames:
        from pytest_kito.session.parametrize import parametrize

        parametrize(metafunc)
