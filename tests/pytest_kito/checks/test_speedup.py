"""The check ``speedup[BATCH]``: on which device, by which minimum, and what is said of it.

The GPU is an imaginary one: TensorFlow says that it has it, and computes on the CPU.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from imaginary import GPU_NAME, Nvml, PretendingTensorFlow
from kito.runtime.backends import select
from kito.runtime.devices import Device
from kito.timing import speedup as timing
from pytest_kito.checks.speedup import minimum_on
from pytest_kito.config.schema import SpeedupSpec

Repository = Callable[[str], pytest.Pytester]
CPU, GPU = Device("cpu", "EPYC"), Device("gpu", GPU_NAME)
ONE = """
    version: 1
    models:
      small: {{source: "nets:net", speedup: {{batch_size: 1, budget_s: 1, {more}}}}}
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the backend was asked to prepare for."""
    prepared: list[str] = []
    backend = PretendingTensorFlow()
    monkeypatch.setattr(backend, "prepare", prepared.append)
    monkeypatch.setattr(select, "current", lambda: backend)
    assert timing  # imported before an inner run of pytest, whose modules are forgotten
    return prepared


def run(folder: pytest.Pytester, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    """Run the speed-ups; the result, and the section of the report."""
    result = folder.runpytest_inprocess(
        "--kito-check", "-k", "speedup", "-rs", "--kito-report=report.json", *args
    )
    [model] = json.loads((folder.path / "report.json").read_text())["models"]
    [data] = model["speedup"]
    return result, data


@pytest.mark.parametrize(
    "keys, device, minimum, reason",
    [
        ({"min": 1.2}, GPU, 1.2, ""),
        ({"min": 1.2}, CPU, 1.2, "declared for device: gpu; this run is on the cpu 'EPYC'"),
        ({"min": 1.2, "device": "cpu"}, GPU, 1.2, "declared for device: cpu; this run is on the g"),
        ({"min": 1.2, "device": "cpu"}, CPU, 1.2, ""),
        ({"min": 1.2, "device": "any"}, GPU, 1.2, ""),
        ({}, GPU, None, ""),
        ({"min": 1.2, "devices": {GPU_NAME: 1.5}}, GPU, 1.5, ""),
        ({"min": 1.2, "devices": {"T4": 1.5}}, GPU, 1.2, ""),
        ({"devices": {"T4": 1.5, "A10": 2.0}}, GPU, None, "minimums are declared for 'T4', 'A10';"),
        # Whoever names a device means that one, whatever its kind.
        ({"devices": {"EPYC": 1.1}}, CPU, 1.1, ""),
    ],
)
def test_the_minimum_is_that_of_the_device(
    keys: dict[str, Any], device: Device, minimum: float | None, reason: str
) -> None:
    found, why = minimum_on(SpeedupSpec.model_validate(keys), device)
    assert found == minimum
    assert why.startswith(reason)
    assert bool(why) == bool(reason)


@pytest.mark.backends("tensorflow")  # whose GPU is simulated
@pytest.mark.usefixtures("gpu")
class TestOnAGpu:
    def test_what_is_declared_for_it_is_judged(self, repository: Repository) -> None:
        result, data = run(repository(ONE.format(more="min: 0.01")), "--kito-require-gpu")
        result.assert_outcomes(passed=1, deselected=3)
        assert data["verdict"] == "pass"
        assert data["explanation"].startswith("at least ")
        assert (data["device_name"], data["under_load"], data["warnings"]) == (GPU_NAME, False, [])
        assert data["gpu"] is None

    def test_it_has_a_minimum_of_its_own(self, repository: Repository) -> None:
        more = f"min: 0.01, devices: {{{GPU_NAME}: 1000}}"
        result, data = run(repository(ONE.format(more=more)))
        result.assert_outcomes(failed=1, deselected=3)
        assert (data["minimum"], data["verdict"]) == (1000, "fail")

    @pytest.mark.parametrize(
        "more, reason",
        [
            ("min: 1.2, device: cpu", "declared for device: cpu; this run is on the gpu"),
            ("devices: {NVIDIA A10G: 1.3}", "minimums are declared for 'NVIDIA A10G'; this run is"),
        ],
    )
    def test_what_is_declared_for_another_is_skipped(
        self, more: str, reason: str, repository: Repository
    ) -> None:
        result, data = run(repository(ONE.format(more=more)))
        result.assert_outcomes(skipped=1, deselected=3)
        assert data["skipped"].startswith(reason)
        assert (data["verdict"], data["ratio"], data["pairs"]) == (None, None, 0)

    def test_a_clock_that_fell_is_a_warning(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nvml = Nvml()
        nvml.reasons = 0x40
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        _, data = run(repository(ONE.format(more="min: 0.01")))
        assert data["warnings"] == ["the GPU was slowed down by: hardware thermal slowdown"]
        assert data["gpu"]["temperature_c"] == [55, 55]

    def test_the_cpu_is_chosen_before_anything_is_built(
        self, repository: Repository, gpu: list[str]
    ) -> None:
        more = "min: 0.01, device: cpu"
        result, data = run(repository(ONE.format(more=more)), "--kito-device", "cpu")
        result.assert_outcomes(passed=1, deselected=3)
        assert data["device_name"] != GPU_NAME
        assert gpu == ["cpu"]

    def test_required_and_not_wanted_is_a_contradiction(self, repository: Repository) -> None:
        folder = repository(ONE.format(more="min: 1"))
        result = folder.runpytest_inprocess(
            "--kito-check", "--kito-require-gpu", "--kito-device=cpu"
        )
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*a GPU is required, and kito_device is 'cpu'*"])


@pytest.mark.parametrize("option", ["--kito-require-gpu", "--kito-device=gpu"])
def test_a_gpu_that_is_missing_is_an_error(option: str, repository: Repository) -> None:
    result = repository(ONE.format(more="min: 1")).runpytest_inprocess("--kito-check", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option.replace('=', ' ')}: there is no GPU that*"])


class TestVerdict:
    def test_below_the_minimum_fails(self, repository: Repository) -> None:
        result, data = run(repository(ONE.format(more="min: 1000, device: any")))
        result.assert_outcomes(failed=1, deselected=3)
        result.stdout.fnmatch_lines(
            [
                "kito.yaml:3: small: speedup[[]1]: at most *x as fast with 95% *below the*1000",
                "measured: *x, interval [[]*], noise floor *, * pairs at batch 1 on *",
            ]
        )
        assert data["verdict"] == "fail"

    @pytest.mark.parametrize("choice, outcome", [("fail", "failed"), ("warn", "passed")])
    def test_inconclusive_does_as_declared(
        self, choice: str, outcome: str, repository: Repository
    ) -> None:
        more = f"min: 1, device: cpu, budget_s: 0.0001, on_inconclusive: {choice}"
        result, data = run(repository(ONE.format(more=more).replace("budget_s: 1, ", "")))
        result.assert_outcomes(deselected=3, **{outcome: 1})
        assert data["verdict"] == "inconclusive"
        assert "only 3 pairs of calls fit into the budget" in data["explanation"]

    def test_xla_is_as_declared(self, repository: Repository) -> None:
        _, data = run(repository(ONE.format(more="device: cpu, jit: on")))
        assert data["jit"] is True
