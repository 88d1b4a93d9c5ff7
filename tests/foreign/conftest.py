"""Nothing of this folder is imported but for the slow set: keras-hub takes seconds to import."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.getoption("--slow") or config.getoption("--nightly") else True
