"""Valid files with random changes: every command answers, or says in a line why it does not."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile.commands import Commands
from hostile.data_files import ODD_NAMES
from hostile.keras_files import members, write
from hostile.valid import YAML, entry, pack_saved_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kito.export.manifest import MANIFEST
from kito.export.publishing import update_manifest

Draw = Callable[[st.SearchStrategy[Any]], Any]
Mutate = Callable[[Draw, Path, Path], list[str]]
"""Writes a changed file into the first folder, out of those in the second; returns a command."""

_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(),
    st.sampled_from([*ODD_NAMES[:8], "x", "relu", "Lambda", "keras_hub", "..", "first"]),
    st.just([]),
    st.just({}),
    st.just([[]]),
)


def changed_bytes(draw: Draw, data: bytes) -> bytes:
    """The bytes with some replaced, cut out, put in twice, or the rest cut off."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(1, 64))
        part = {
            "flip": draw(st.binary(min_size=1, max_size=8)),
            "drop": b"",
            "twice": data[at : at + size] * 2,
            "zeros": bytes(size),
            "ones": b"\xff" * size,
        }
        kind = draw(st.sampled_from([*part, "cut"]))
        if kind == "cut":
            data = data[:at]
        else:
            data = (
                data[:at]
                + part[kind]
                + data[at + (len(part["flip"]) if kind == "flip" else size) :]
            )
    return data


def changed_values(draw: Draw, content: Any) -> Any:
    """Plain data with some values replaced, removed, moved, or keys renamed."""
    for _ in range(draw(st.integers(1, 3))):
        outer, key = draw(st.sampled_from(_places(content) or [([content], 0)]))
        kind = draw(st.sampled_from(["odd", "odd", "drop", "other", "rename"]))
        if kind == "odd":
            outer[key] = copy.deepcopy(draw(_ODD))  # the next change may be inside of it
        elif kind == "drop":
            del outer[key]
        elif kind == "other":
            other, place = draw(st.sampled_from(_places(content) or [([content], 0)]))
            outer[key] = copy.deepcopy(other[place])
        elif isinstance(outer, dict):
            outer[draw(st.sampled_from(ODD_NAMES[:8]))] = outer.pop(key)
    return content


def _places(content: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [content]
    while waiting:
        value = waiting.pop()
        keys = list(value) if isinstance(value, dict) else []
        keys = list(range(len(value))) if isinstance(value, list) else keys
        found += [(value, key) for key in keys]
        waiting += [value[key] for key in keys]
    return found


def keras_bytes(draw: Draw, folder: Path, valid: Path) -> list[str]:
    data = changed_bytes(draw, (valid / "model.keras").read_bytes())
    (folder / "model.keras").write_bytes(data)
    return ["explain", "model.keras"]


def keras_weights(draw: Draw, folder: Path, valid: Path) -> list[str]:
    content = members(valid)
    content["model.weights.h5"] = changed_bytes(draw, content["model.weights.h5"])
    write(folder / "model.keras", content)
    return ["explain", "model.keras"]


def keras_config(draw: Draw, folder: Path, valid: Path) -> list[str]:
    content = members(valid)
    config = changed_values(draw, json.loads(content["config.json"]))
    write(folder / "model.keras", {**content, "config.json": json.dumps(config).encode()})
    return draw(
        st.sampled_from(
            [
                ["explain", "model.keras"],
                ["compare", "model.keras", str(valid / "model.keras")],
                ["init"],
            ]
        )
    )


def h5_bytes(draw: Draw, folder: Path, valid: Path) -> list[str]:
    data = changed_bytes(draw, (valid / "model.h5").read_bytes())
    (folder / "model.h5").write_bytes(data)
    return ["explain", "model.h5"]


def npz_bytes(draw: Draw, folder: Path, valid: Path) -> list[str]:
    (folder / "data.npz").write_bytes(changed_bytes(draw, (valid / "data.npz").read_bytes()))
    model = str(valid / "model.keras")
    return ["compare", model, model, "--data", "data.npz"]


def npz_headers(draw: Draw, folder: Path, valid: Path) -> list[str]:
    with zipfile.ZipFile(valid / "data.npz") as archive:
        data = archive.read("x.npy")
    write(folder / "data.npz", {"x.npy": changed_bytes(draw, data)})
    model = str(valid / "model.keras")
    return ["compare", model, model, "--data", "data.npz"]


def report_values(draw: Draw, folder: Path, valid: Path) -> list[str]:
    report = changed_values(draw, json.loads((valid / "report.json").read_text()))
    (folder / "report.json").write_text(json.dumps(report))
    config = str(valid / "kito.yaml")
    return draw(
        st.sampled_from(
            [
                ["merge", "report.json"],
                ["summary", "report.json"],
                ["diff", str(valid / "report.json"), "report.json"],
                ["plan", "--config", config, "--timings", "report.json"],
            ]
        )
    )


def manifest_values(draw: Draw, folder: Path, valid: Path) -> list[str]:
    shutil.copytree(valid / "artifacts", folder / "artifacts")
    path = folder / "artifacts" / MANIFEST
    path.write_text(json.dumps(changed_values(draw, json.loads(path.read_text()))))
    return draw(
        st.sampled_from([["verify", "artifacts"], ["merge-artifacts", "artifacts", "-o", "all"]])
    )


def manifest_bytes(draw: Draw, folder: Path, valid: Path) -> list[str]:
    shutil.copytree(valid / "artifacts", folder / "artifacts")
    name = draw(st.sampled_from([MANIFEST, "SHA256SUMS", "net.keras"]))
    path = folder / "artifacts" / name
    path.write_bytes(changed_bytes(draw, path.read_bytes()))
    return ["verify", "artifacts"]


def yaml_text(draw: Draw, folder: Path, valid: Path) -> list[str]:
    data = YAML.encode()
    if draw(st.booleans()):
        signs = st.text("{}[]:,-&*!|>'\"%@`#?\n \t\x1b\u202e0e.~<=", min_size=1, max_size=6)
        at = draw(st.integers(0, len(YAML)))
        data = (YAML[:at] + draw(signs) + YAML[at:]).encode()
    (folder / "kito.yaml").write_bytes(changed_bytes(draw, data))
    return ["plan"]


def archive_bytes(draw: Draw, folder: Path, valid: Path) -> list[str]:
    data = gzip.decompress((valid / "net.saved_model.tar.gz").read_bytes())
    path = folder / "artifacts" / "net.saved_model.tar.gz"
    path.parent.mkdir()
    if draw(st.booleans()):
        path.write_bytes(gzip.compress(changed_bytes(draw, data), 1))
    else:
        path.write_bytes(changed_bytes(draw, gzip.compress(data, 1)))
    update_manifest(path.parent, [entry(path, "saved_model")])
    return ["verify", "artifacts", "--run", "--config", str(valid / "kito.yaml")]


KINDS: list[Mutate] = [
    keras_bytes,
    keras_weights,
    keras_config,
    h5_bytes,
    npz_bytes,
    npz_headers,
    report_values,
    manifest_values,
    manifest_bytes,
    yaml_text,
    archive_bytes,
]


@pytest.fixture(scope="session")
def with_archive(valid: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The valid files, and a ``saved_model`` archive."""
    folder = tmp_path_factory.mktemp("archive")
    shutil.copytree(valid, folder, dirs_exist_ok=True)
    pack_saved_model(folder / "net.saved_model.tar.gz", tmp_path_factory.mktemp("scratch"))
    return folder


def try_some(kind: Mutate, count: int, commands: Commands, files: Path, scratch: Path) -> None:
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def mutated(data: st.DataObject) -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        argv = kind(data.draw, scratch, files)
        # A change may do no harm. One that reads as YAML may have many problems, a line for each.
        lines = 20 if kind is yaml_text else 3
        assert commands.run("kito", *argv, folder=scratch).faults((0, 1, 2), lines) == []
        assert not (scratch / "ran").exists()

    mutated()


@pytest.mark.parametrize("kind", KINDS)
def test_a_few(kind: Mutate, commands: Commands, with_archive: Path, tmp_path: Path) -> None:
    try_some(kind, 9, commands, with_archive, tmp_path / "scratch")


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_many(kind: Mutate, commands: Commands, with_archive: Path, tmp_path: Path) -> None:
    try_some(kind, 50, commands, with_archive, tmp_path / "scratch")
