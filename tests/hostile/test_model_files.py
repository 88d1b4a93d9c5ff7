"""Model files that are broken, bombs or malicious, through every command that reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile.commands import Commands
from hostile.keras_files import H5_FILES, HARMLESS, KERAS_FILES, put_beside
from hostile.valid import YAML

FILES = [
    *(pytest.param(".keras", name, id=f"{name}.keras") for name in KERAS_FILES),
    *(pytest.param(".h5", name, id=f"{name}.h5") for name in H5_FILES),
]


@pytest.fixture
def folder(tmp_path: Path, valid: Path, suffix: str, name: str) -> Path:
    """A folder with a hostile file, and modules beside it that leave a trace when they run."""
    builders = KERAS_FILES if suffix == ".keras" else H5_FILES
    put_beside(tmp_path)
    builders[name](tmp_path / f"model{suffix}", valid)
    (tmp_path / "kito.yaml").write_text(YAML.replace("model.keras", f"model{suffix}"))
    return tmp_path


def check(
    commands: Commands, folder: Path, *argv: str, codes: tuple[int, ...], lines: int = 3
) -> None:
    outcome = commands.run(*argv, folder=folder)
    assert outcome.faults(codes, lines) == []
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("suffix, name", FILES)
def test_explain_refuses_it_and_plan_and_init_need_no_valid_file(
    commands: Commands, folder: Path, suffix: str, name: str
) -> None:
    codes = (0,) if name in HARMLESS else (1, 2)
    check(commands, folder, "kito", "explain", f"model{suffix}", codes=codes)
    check(commands, folder, "kito", "plan", codes=(0,), lines=0)
    (folder / "kito.yaml").unlink()
    check(commands, folder, "kito", "init", "--json", codes=(0, 2))
    if (folder / "kito.yaml").exists():
        check(commands, folder, "kito", "plan", codes=(0,), lines=0)


BY_DAY = (
    ("reduce", "FILE", "-o", "out.keras", "--json"),
    ("compare", "GOOD", "FILE"),
    ("bench", "FILE", "--budget", "0.2"),
)
AT_NIGHT = (
    ("reduce", "FILE", "-o", "out.keras"),
    ("compare", "FILE", "GOOD"),
    ("compare", "GOOD", "FILE", "--json"),
    ("bench", "GOOD", "FILE", "--budget", "0.2"),
    ("explain", "FILE", "--json"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "all_argv",
    [
        pytest.param(BY_DAY, id="few"),
        pytest.param(AT_NIGHT, id="more", marks=pytest.mark.nightly),
    ],
)
@pytest.mark.parametrize("suffix, name", FILES)
def test_other_commands_refuse_it(
    commands: Commands,
    folder: Path,
    valid: Path,
    suffix: str,
    name: str,
    all_argv: tuple[tuple[str, ...], ...],
) -> None:
    files = {"FILE": f"model{suffix}", "GOOD": str(valid / "model.keras")}
    codes = (0, 1, 2) if name in HARMLESS else (1, 2)
    for argv in all_argv:
        check(commands, folder, "kito", *(files.get(x, x) for x in argv), codes=codes)


@pytest.mark.slow
@pytest.mark.parametrize("suffix, name", FILES)
def test_the_gate_fails_its_checks(
    commands: Commands, folder: Path, suffix: str, name: str
) -> None:
    argv = ("--kito-check", "-p", "no:cacheprovider", "-q", "kito.yaml")
    codes = (0, 1) if name in HARMLESS else (1,)
    check(commands, folder, "pytest", *argv, codes=codes)


@pytest.mark.slow
@pytest.mark.parametrize("suffix, name", FILES)
def test_a_file_as_weights_is_refused(
    commands: Commands, folder: Path, valid: Path, suffix: str, name: str
) -> None:
    text = YAML.replace("model.keras", str(valid / "model.keras"))
    (folder / "kito.yaml").write_text(
        text.replace("artifacts:", f"weights: model{suffix}, artifacts:")
    )
    argv = ("--kito-check", "-p", "no:cacheprovider", "-q", "kito.yaml")
    # What is wrong elsewhere in the file than in its weights does not matter.
    check(commands, folder, "pytest", *argv, codes=(0, 1))
