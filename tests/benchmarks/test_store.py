from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import store
from benchmarks.store import Store, machine_name, machines


def record(environment: dict[str, Any], **outcome: Any) -> dict[str, Any]:
    return {"environment": environment, "date": "2026-01-31", "seconds": 1.0, "load": 0.1} | outcome


OLD, NEW = {"keras": "3.14"}, {"keras": "3.15"}


def test_each_cell_keeps_the_environment_that_it_was_measured_in(tmp_path: Path) -> None:
    one = Store("laptop", tmp_path)
    one.save("speed", "a", record(OLD, result={"ms": 1.0}))
    one.save("speed", "b", record(NEW, error="no memory"))
    again = Store("laptop", tmp_path)
    assert {x: y["environment"] for x, y in again.records("speed").items()} == {"a": OLD, "b": NEW}
    assert again.rows("speed", ["c", "b", "a"]) == {"b": {"error": "no memory"}, "a": {"ms": 1.0}}
    one.save("speed", "a", record(NEW, result={"ms": 2.0}))
    data = json.loads((tmp_path / "laptop" / "speed.json").read_text())
    assert data["environments"] == [NEW], "no cell is of the old one any more"


def test_an_interruption_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Store("laptop", tmp_path)
    one.save("speed", "a", record(OLD, result={}))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.save("speed", "b", record(OLD, result={}))
    assert list(one.records("speed")) == ["a"]
    assert [x.name for x in (tmp_path / "laptop").iterdir()] == ["speed.json"]


def test_a_second_machine_sits_beside_the_first(tmp_path: Path) -> None:
    for name in ("server", "laptop"):
        Store(name, tmp_path).save("speed", "a", record(OLD, result={"name": name}))
    assert machines("speed", tmp_path) == ["laptop", "server"]
    assert Store("server", tmp_path).rows("speed", ["a"]) == {"a": {"name": "server"}}


@pytest.mark.parametrize(
    "cpu, name",
    [
        ("AMD EPYC 7B13", "amd-epyc-7b13-2-cores"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "intel-xeon-2-cores"),
        ("AMD Ryzen 7 5800X 8-Core Processor", "amd-ryzen-7-5800x-8-2-cores"),
    ],
)
def test_a_machine_has_a_name_for_a_folder(
    cpu: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "cpu_name", lambda: cpu)
    monkeypatch.setattr(store, "processors", lambda: 2)
    assert machine_name() == name
