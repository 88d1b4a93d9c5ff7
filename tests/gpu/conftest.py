"""These tests need a GPU that the Keras backend can use, and are left out where there is none.

Run them on such a machine with each backend: ``KERAS_BACKEND=jax python -m pytest tests/gpu``.
"""

from __future__ import annotations

import pytest

from kito.errors import KitoError
from kito.runtime import devices
from kito.runtime.devices import Device


@pytest.fixture(scope="session")
def gpu() -> Device:
    devices.prepare("auto")
    try:
        return devices.detect("gpu")
    except KitoError as error:
        pytest.skip(str(error))
