"""Random graphs: which ones are drawn, and how many.

In CI the same ones every time, so that a change is judged by what the one before it was judged by;
everywhere else new ones. The seed is in the header; ``--hypothesis-seed`` sets it. A nightly run of
``pytest --slow -m slow --hypothesis-profile=nightly`` draws ten times as many.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import settings

settings.register_profile("nightly", max_examples=20_000)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        in_ci = bool(os.environ.get("CI"))
        config.option.hypothesis_seed = "0" if in_ci else str(random.randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    return f"hypothesis seed: {config.option.hypothesis_seed}"
