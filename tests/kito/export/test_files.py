"""Files written whole or not at all: what is replaced, what is written to, and what is refused."""

from __future__ import annotations

import os
import secrets
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kito.export.files import copy_file, install_file, write_text

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
Write = Callable[[Path, str], None]


def by_copying(target: Path, text: str) -> None:
    source = target.with_name("source of a copy")
    source.write_text(text)
    copy_file(source, target)
    source.unlink()


def by_moving(target: Path, text: str) -> None:
    source = target.with_name("finished file")
    source.write_text(text)
    install_file(source, target)


each_way = pytest.mark.parametrize("write", [write_text, by_copying, by_moving])


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_link_planted_at_the_temporary_name_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, target = tmp_path / "victim", tmp_path / "report.json"
    victim.write_text("precious")
    (tmp_path / f".report.json.{os.getpid()}").symlink_to(victim)
    (tmp_path / f".kito-tmp-{'0' * 16}").symlink_to(victim)
    tokens = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(tokens))
    write_text(target, "new")
    assert victim.read_text() == "precious"
    assert (target.read_text(), target.is_symlink()) == ("new", False)


@posix
@each_way
def test_a_device_is_written_to_and_stays(tmp_path: Path, write: Write) -> None:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    try:
        device = tmp_path / "device"
        device.symlink_to(os.ttyname(theirs))
        write(device, "x")
        assert os.read(ours, 10) == b"x"
        assert stat.S_ISCHR(device.stat().st_mode)
        assert [path.name for path in tmp_path.iterdir()] == ["device"]
    finally:
        os.close(ours)
        os.close(theirs)


@posix
@each_way
def test_a_named_pipe_is_written_to_and_stays(tmp_path: Path, write: Write) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write(pipe, "x")
    reader.join(10)
    assert read == ["x"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


TO_STDOUT = """
import pathlib, sys
from kito.export.files import write_text
print("before")
write_text(pathlib.Path(sys.argv[1]), "report\\n")
print("after")
"""


@posix
@pytest.mark.parametrize("kind", ["pipe", "file", "socket"])
def test_standard_output_gets_its_place_among_what_is_printed(tmp_path: Path, kind: str) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ours, theirs = socket.socketpair()
    # As /dev/stdout, but harmless if it were replaced.
    (tmp_path / "stdout").symlink_to("/dev/fd/1")
    with ours, theirs, (tmp_path / "log").open("w+b") as log:
        stdout: Any = {"pipe": subprocess.PIPE, "file": log, "socket": theirs}[kind]
        command = [sys.executable, "-c", TO_STDOUT, str(tmp_path / "stdout")]
        done = subprocess.run(command, env=environ, stdout=stdout, check=True)
        log.seek(0)
        text = {"pipe": lambda: done.stdout, "file": log.read, "socket": lambda: ours.recv(100)}
        assert text[kind]() == b"before\nreport\nafter\n"
        assert {path.name for path in tmp_path.iterdir()} == {"log", "stdout"}


@posix
@each_way
def test_a_directory_and_a_socket_are_refused(write: Write) -> None:
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        folder = Path(name)  # the path of a socket must be short
        listener.bind(str(folder / "socket"))
        (folder / "directory").mkdir()
        with pytest.raises(OSError, match="it is a directory; name a file"):
            write(folder / "directory", "x")
        with pytest.raises(OSError, match="it is a socket or a disk; name a file"):
            write(folder / "socket", "x")
        assert stat.S_ISSOCK((folder / "socket").stat().st_mode)
        assert (folder / "directory").is_dir()


@each_way
def test_a_link_is_kept_and_its_file_is_replaced(tmp_path: Path, write: Write) -> None:
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "report.json", tmp_path / "latest.json"
    link.symlink_to("real/report.json")
    for text in ("first", "second"):  # at first there is no such file
        write(link, text)
        assert link.is_symlink()
        assert file.read_text() == text
    assert [path.name for path in file.parent.iterdir()] == ["report.json"]


@posix
def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_text(tmp_path / "a", "x")


@posix
@each_way
@pytest.mark.usefixtures("umask")
def test_permissions_are_those_of_the_older_file_or_of_any_new_one(
    tmp_path: Path, write: Write
) -> None:
    target = tmp_path / "report.json"
    write(target, "new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    for mode in (0o600, 0o664):
        target.chmod(mode)
        write(target, "newer")
        assert stat.S_IMODE(target.stat().st_mode) == mode


@posix
@each_way
def test_the_content_is_flushed_then_the_name_given_then_the_name_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    steps: list[str] = []
    real_fsync, target = os.fsync, tmp_path / "report.json"

    def fsync(descriptor: int) -> None:
        of_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("names" if of_folder else "content")
        real_fsync(descriptor)

    def hook(name: str, args: tuple[Any, ...]) -> None:
        if name == "os.rename" and str(args[1]) == str(target):
            steps.append("rename")

    monkeypatch.setattr(os, "fsync", fsync)
    sys.addaudithook(hook)
    write(target, "x")
    assert steps == ["content", "rename", "names"]


@posix
def test_a_file_system_that_cannot_flush_names_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "report.json", "x")
    assert (tmp_path / "report.json").read_text() == "x"


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 255)
    write_text(target, "x")
    assert target.read_text() == "x"
