"""What all tests share: the package ``benchmarks``, and which random graphs are drawn.

In CI the same ones every time, so that a change is judged by what the one before it was judged by;
everywhere else new ones. The seed is in the header; ``--hypothesis-seed`` sets it. A nightly run of
``pytest --slow -m slow --hypothesis-profile=nightly`` draws twenty times as many or more.
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import settings


def _provide_benchmarks() -> None:
    """Make ``benchmarks`` importable, which is not installed.

    The repository itself stays out of ``sys.path``: it would shadow the installed packages.
    """
    init = Path(__file__).parents[1] / "benchmarks" / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        "benchmarks", init, submodule_search_locations=[str(init.parent)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmarks"] = module
    spec.loader.exec_module(module)


_provide_benchmarks()
settings.register_profile("nightly", max_examples=1000)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        in_ci = bool(os.environ.get("CI"))
        config.option.hypothesis_seed = "0" if in_ci else str(random.randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    return f"hypothesis seed: {config.option.hypothesis_seed}"
