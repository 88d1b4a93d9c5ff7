"""Data, reports, manifests, kito.yaml, archives and names that are broken, bombs or malicious."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hostile.commands import Commands
from hostile.data_files import ARCHIVES, CONFIGS, DATA, FOLDERS, ODD_NAMES, TEXTS, each_value
from hostile.valid import YAML, entry

from kito.export.manifest import MANIFEST, SUMS
from kito.export.publishing import update_manifest

EACH = pytest.mark.parametrize(
    "each", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.nightly])]
)
QUIET = ("-p", "no:cacheprovider", "-q")


def refused(
    commands: Commands,
    folder: Path,
    *argv: str,
    codes: tuple[int, ...] = (1, 2),
    lines: int = 3,
) -> None:
    assert commands.run(*argv, folder=folder).faults(codes, lines) == []
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", DATA)
def test_data_is_refused(commands: Commands, tmp_path: Path, valid: Path, name: str) -> None:
    DATA[name](tmp_path / "data.npz")
    model = str(valid / "model.keras")
    refused(commands, tmp_path, "kito", "compare", model, model, "--data", "data.npz")
    shutil.copy(model, tmp_path)
    refused(commands, tmp_path, "kito", "init", codes=(0,))
    refused(commands, tmp_path, "kito", "plan", codes=(0,))


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_other_commands_refuse_data(
    commands: Commands, tmp_path: Path, valid: Path, name: str
) -> None:
    DATA[name](tmp_path / "data.npz")
    model = str(valid / "model.keras")
    refused(commands, tmp_path, "kito", "reduce", model, "-o", "o.keras", "--data", "data.npz")
    refused(commands, tmp_path, "kito", "bench", model, "--budget", "0.2", "--data", "data.npz")
    text = YAML.replace("model.keras", model).replace("samples: 4", "data: data.npz")
    (tmp_path / "kito.yaml").write_text(text)
    refused(commands, tmp_path, "pytest", "--kito-check", *QUIET, "kito.yaml", codes=(1,))


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_no_report_and_no_manifest(
    commands: Commands, tmp_path: Path, valid: Path, name: str
) -> None:
    shutil.copytree(valid / "artifacts", tmp_path / "artifacts")
    for file in ("report.json", f"artifacts/{MANIFEST}"):
        (tmp_path / file).write_bytes(TEXTS[name])
    config = str(valid / "kito.yaml")
    for argv in (
        ("merge", "report.json"),
        ("merge", "report.json", "report.json", "-o", "merged.json"),
        ("summary", "report.json"),
        ("diff", str(valid / "report.json"), "report.json"),
        ("plan", "--config", config, "--timings", "report.json"),
        ("verify", "artifacts"),
        ("verify", "artifacts", "--json"),
        ("merge-artifacts", "artifacts", "-o", "all"),
    ):
        refused(commands, tmp_path, "kito", *argv, codes=(2,))
    assert not (tmp_path / "all").exists()
    assert not (tmp_path / "merged.json").exists()


@pytest.mark.slow
@EACH
def test_a_report_with_any_value_of_another_type(
    commands: Commands, tmp_path: Path, valid: Path, each: bool
) -> None:
    config, report = str(valid / "kito.yaml"), tmp_path / "report.json"
    faults = {}
    readers = [
        ("summary", "report.json"),
        ("diff", str(valid / "report.json"), "report.json"),
        ("merge", "report.json"),
        ("plan", "--config", config, "--timings", "report.json"),
    ]
    for name, content in each_value(json.loads((valid / "report.json").read_text()), each):
        report.write_text(json.dumps(content))
        for argv in readers if each else readers[:2]:
            # Many values are of no meaning to the command: then it does its work.
            found = commands.run("kito", *argv, folder=tmp_path).faults((0, 1, 2))
            faults |= {f"{argv[0]} {name}": found} if found else {}
    assert faults == {}


@pytest.mark.parametrize("text", ODD_NAMES, ids=ascii)
def test_a_report_of_names_that_act(
    commands: Commands, tmp_path: Path, valid: Path, text: str
) -> None:
    report = json.loads((valid / "report.json").read_text())
    report["models"][0] |= {"name": text, "passed": False}
    report["models"][0]["checks"][0] |= {"check": text, "outcome": "failed", "message": text}
    report["models"][0]["seconds"][text] = -1
    report["environment"]["device_name"] = text
    path = tmp_path / "report.json"
    for seconds in (-1, 1):
        report["models"][0]["seconds"][text] = seconds
        path.write_text(json.dumps(report))
        refused(commands, tmp_path, "kito", "merge", "report.json", codes=(0, 2))
        refused(commands, tmp_path, "kito", "merge", "report.json", "report.json")
        refused(commands, tmp_path, "kito", "summary", "report.json", codes=(0, 2))
        for form in ((), ("--markdown",), ("--json",)):
            argv = ("diff", str(valid / "report.json"), "report.json", *form)
            refused(commands, tmp_path, "kito", *argv)


@EACH
def test_a_manifest_with_any_value_of_another_type(
    commands: Commands, tmp_path: Path, valid: Path, each: bool
) -> None:
    folder = tmp_path / "artifacts"
    shutil.copytree(valid / "artifacts", folder)
    faults = {}
    for name, content in each_value(json.loads((folder / MANIFEST).read_text()), each):
        (folder / MANIFEST).write_text(json.dumps(content))
        for argv in (("verify", "artifacts"), ("merge-artifacts", "artifacts", "-o", "all")):
            found = commands.run("kito", *argv, folder=tmp_path).faults((0, 1, 2))
            faults |= {f"{argv[0]} {name}": found} if found else {}
        shutil.rmtree(tmp_path / "all", ignore_errors=True)
    assert faults == {}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_not_what_was_proved(
    commands: Commands, tmp_path: Path, valid: Path, name: str
) -> None:
    shutil.copytree(valid / "artifacts", tmp_path / "artifacts")
    FOLDERS[name](tmp_path / "artifacts")
    config = str(valid / "kito.yaml")
    refused(commands, tmp_path, "kito", "verify", "artifacts")
    refused(commands, tmp_path, "kito", "merge-artifacts", "artifacts", "-o", "all")
    refused(commands, tmp_path, "kito", "verify", "artifacts", "--run", "--config", config)


@pytest.mark.slow  # test_archives unpacks them without running anything
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_writes_nothing_elsewhere(
    commands: Commands, tmp_path: Path, valid: Path, name: str
) -> None:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    path = folder / "net.saved_model.tar.gz"
    ARCHIVES[name](path)
    update_manifest(folder, [entry(path, "saved_model")])
    argv = ("verify", "artifacts", "--run", "--config", str(valid / "kito.yaml"))
    refused(commands, tmp_path, "kito", *argv, codes=(1,))
    assert {x.name for x in folder.iterdir()} == {path.name, MANIFEST, SUMS}


def lines_of(name: str) -> int:
    """The most lines about a configuration: one for each problem of it."""
    many = ("all_models_wrong", "many_keys", "merge_key", "one_long_key")
    return 102 if name in many else 3


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_refused(commands: Commands, tmp_path: Path, name: str) -> None:
    (tmp_path / "hostile.yaml").write_bytes(CONFIGS[name])
    argv = ("kito", "plan", "--config", "hostile.yaml")
    refused(commands, tmp_path, *argv, codes=(2,), lines=lines_of(name))


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=() if x == "python_tag" else pytest.mark.slow) for x in CONFIGS]
)
def test_other_readers_refuse_a_configuration(
    commands: Commands, tmp_path: Path, valid: Path, name: str
) -> None:
    (tmp_path / "hostile.yaml").write_bytes(CONFIGS[name])
    argv = ("verify", str(valid / "artifacts"), "--run", "--config", "hostile.yaml")
    refused(commands, tmp_path, "kito", *argv, codes=(2,))
    argv = ("--kito-check", "--kito-config", "hostile.yaml", *QUIET)
    lines = 2 * lines_of(name) + 4  # pytest adds empty ones
    refused(commands, tmp_path, "pytest", *argv, codes=(4,), lines=lines)


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe.keras",
        b"\x1b[31m.keras",
        b"\n::error::x.keras",
        "\u202egro.keras".encode(),
        b"'\"\\: #.h5",
        b"con.keras",
        b"a" * 249 + b".keras",
        "ß".encode() * 124 + b".keras",
        b"-rf.keras",
        b"..keras",
        "\ufffe\U0001f600.keras".encode(),
    ],
    ids=ascii,
)
def test_init_declares_files_of_any_name_or_says_why_not(
    commands: Commands, tmp_path: Path, name: bytes
) -> None:
    with open(os.fsencode(tmp_path) + b"/" + name, "x"):
        pass
    outcome = commands.run("kito", "init", folder=tmp_path)
    assert outcome.faults((0, 2)) == []
    assert (outcome.code == 0) == (tmp_path / "kito.yaml").exists()
    if outcome.code == 0:
        assert commands.run("kito", "plan", folder=tmp_path).faults((0,)) == []
