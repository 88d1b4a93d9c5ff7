"""What NVML reports on a GPU, with a simulated library."""

from __future__ import annotations

import pytest

from imaginary import Nvml
from kito.runtime.nvml import EVERY_S, GpuWatch, driver, gpu_state


@pytest.fixture
def no_driver(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("Driver Not Loaded")

    monkeypatch.setattr(nvml, "nvmlInit", fail)


class TestState:
    def test_is_what_the_gpu_reports(self, nvml: Nvml) -> None:
        nvml.reasons = 0x01 | 0x04 | 0x40
        state = gpu_state()
        assert state is not None
        assert (state.sm_mhz, state.memory_mhz) == ((1000, 1500), (5000, 6000))
        assert (state.power_w, state.temperature_c) == (70.0, 55)
        assert state.throttled == ("software power cap", "hardware thermal slowdown")
        assert driver() == "550.54"
        assert nvml.open == 0

    @pytest.mark.parametrize("visible, gpu", [("", 0), ("3,1", 3), ("GPU-abc", 5)])
    def test_is_of_the_gpu_that_is_visible(
        self, visible: str, gpu: int, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpu_state() is not None
        assert nvml.gpu == gpu

    def test_leaves_out_what_the_gpu_does_not_report(self, nvml: Nvml) -> None:
        nvml.reports_clocks = False
        state = gpu_state()
        assert state is not None
        assert (state.sm_mhz, state.power_w) == (None, 70.0)
        assert nvml.open == 0

    @pytest.mark.usefixtures("nvml")
    def test_is_none_of_a_gpu_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-other")
        assert gpu_state() is None

    @pytest.mark.parametrize("without", ["no_nvml", "no_driver"])
    def test_is_none_without_nvml(self, without: str, request: pytest.FixtureRequest) -> None:
        request.getfixturevalue(without)
        assert gpu_state() is None
        assert driver() is None


class TestWatch:
    def watch(self, nvml: Nvml, *clocks_mhz: int) -> GpuWatch:
        now = [0.0]
        watch = GpuWatch(clock=lambda: now[0])
        for clock in clocks_mhz:
            nvml.sm_mhz = clock
            watch.look()
            now[0] += EVERY_S
        return watch

    def test_warns_of_a_clock_that_fell(self, nvml: Nvml) -> None:
        watch = self.watch(nvml, 1400, 1100, 1300)
        figures = watch.figures()
        assert figures is not None
        assert figures["clocks_mhz"] == {"sm": [1400, 1100, 1500], "memory": [5000, 5000, 6000]}
        assert watch.warnings() == [
            "the GPU's sm clock fell from 1400 to 1100 MHz while it was timed"
        ]

    def test_does_not_warn_of_a_steady_one(self, nvml: Nvml) -> None:
        assert self.watch(nvml, 1000, 960, 1400).warnings() == []

    def test_warns_of_what_slowed_the_gpu_down(self, nvml: Nvml) -> None:
        nvml.reasons = 0x20
        watch = self.watch(nvml, 1000)
        nvml.reasons = 0x02  # somebody chose that clock
        watch.look()
        assert watch.warnings() == ["the GPU was slowed down by: software thermal slowdown"]
        figures = watch.figures()
        assert figures is not None
        assert figures["throttled"] == ["software thermal slowdown", "application clocks setting"]

    def test_notes_how_power_and_temperature_rose(self, nvml: Nvml) -> None:
        watch = self.watch(nvml, 1000)
        nvml.milliwatts, nvml.degrees = 250_000, 80
        watch.look()
        nvml.milliwatts, nvml.degrees = 90_000, 70
        figures = watch.figures()
        assert figures is not None
        assert (figures["power_w"], figures["temperature_c"]) == ([70.0, 250.0], [55, 80])

    def test_looks_no_more_often_than_it_should(self, nvml: Nvml) -> None:
        now = [0.0]
        watch = GpuWatch(clock=lambda: now[0])
        for _ in range(10):
            watch.look()
            nvml.sm_mhz = 1
            now[0] += EVERY_S / 20
        assert watch.warnings() == []

    def test_of_a_gpu_that_reports_no_clocks_has_the_rest(self, nvml: Nvml) -> None:
        nvml.reports_clocks = False
        figures = self.watch(nvml, 1000).figures()
        assert figures is not None
        assert figures["clocks_mhz"] == {}
        assert figures["power_w"] == [70.0, 70.0]

    @pytest.mark.usefixtures("no_nvml")
    def test_without_nvml_says_nothing(self) -> None:
        watch = GpuWatch()
        watch.look()
        assert watch.figures() is None
        assert watch.warnings() == []
