"""What every test run of this repository needs, whichever folder it starts in."""

from __future__ import annotations

import importlib.util
import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a processor. Threads of its own on every other one would only be in the way.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")
    parser.addoption(
        "--nightly", action="store_true", help="run the tests marked slow or nightly too"
    )


def _is_about_another_backend(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("backends")
    return marker is not None and os.environ.get("KERAS_BACKEND", "tensorflow") not in marker.args


def pytest_report_header() -> str:
    # Tells at a glance whether the installed package is tested or a source tree that shadows it.
    spec = importlib.util.find_spec("kito")
    return f"kito: {spec.origin if spec else 'not installed'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    nightly = config.getoption("--nightly")
    left_out = {"slow": not (nightly or config.getoption("--slow")), "nightly": not nightly}
    markers = [name for name, out in left_out.items() if out]
    deselected = [
        x
        for x in items
        if any(x.get_closest_marker(name) for name in markers) or _is_about_another_backend(x)
    ]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [x for x in items if x not in set(deselected)]
