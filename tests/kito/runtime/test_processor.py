from __future__ import annotations

from pathlib import Path

from kito.runtime.processor import cpu_name


def test_the_cpu_has_a_name_on_any_system(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Imaginary: 64 cores\nflags\t: fpu\n")
    assert cpu_name(cpuinfo) == "Imaginary: 64 cores"
    cpuinfo.write_text("processor\t: 0\n")
    assert cpu_name(cpuinfo)
    assert cpu_name(tmp_path / "missing")
