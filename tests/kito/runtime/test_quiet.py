"""What of standard error is left out: log lines below the level, and nothing else."""

from __future__ import annotations

import contextlib
import os
import warnings

import pytest

from kito.runtime.quiet import filtered_stderr, without_deprecations

LINES = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795644201.509844   17709 cudart_stub.cc:31] Could not find cuda drivers",
    "2026-01-02 03:04:05.678901: I tensorflow/core/util/port.cc:153] oneDNN custom operations",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "W0000 00:00:1795644369.352852   18156 tf_tfl_flatbuffer_helpers.cc:364] Ignored",
    "2026-01-02 03:04:05.678901: W tensorflow/core/grappler/costs/op_level_cost_estimator.cc:1]",
    "E0000 00:00:1795644212.953483   17709 cuda_platform.cc:52] failed call to cuInit",
    "F0000 00:00:1795644212.953483   17709 cpu_feature_guard.cc:1] AVX is not available",
    "UserWarning: something is wrong with the model",
]


@pytest.mark.parametrize("level, first", [("0", 0), ("1", 4), ("2", 6), ("3", 7), ("odd", 0)])
def test_lines_below_the_level_are_left_out(
    level: str, first: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with filtered_stderr():
        os.write(2, "\n".join([*LINES, ""]).encode())  # as native code does
    assert capfd.readouterr().err.splitlines() == LINES[first:]


def test_what_was_written_before_an_error_is_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.suppress(ImportError), filtered_stderr():
        os.write(2, f"{LINES[1]}\nlibcudnn is broken\n".encode())
        raise ImportError
    assert capfd.readouterr().err == "libcudnn is broken\n"


def test_deprecations_of_keras_are_not_the_users() -> None:
    def warn(module: str) -> None:
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)

    with warnings.catch_warnings(record=True) as seen, without_deprecations():
        warn("keras.src.backend.tensorflow.core")
    with pytest.raises(DeprecationWarning), without_deprecations():
        warn("mylab.layers")
    assert not seen
