"""Archives of folders: what is packed comes back, and nothing else is unpacked."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hostile.data_files import ARCHIVES, chain_of_links

from kito.export.formats.archives import pack, unpack


def test_a_folder_comes_back(tmp_path: Path) -> None:
    (tmp_path / "packed" / "inner" / "empty").mkdir(parents=True)
    (tmp_path / "packed" / "inner" / "a.bin").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "packed" / "b").touch()
    pack(tmp_path / "packed", tmp_path / "net.tar.gz", "net")
    (tmp_path / "scratch").mkdir()
    folder = unpack(tmp_path / "net.tar.gz", tmp_path / "scratch")
    assert folder == tmp_path / "scratch" / "net"
    assert {x.relative_to(folder).as_posix() for x in folder.rglob("*")} == {
        "inner",
        "inner/empty",
        "inner/a.bin",
        "b",
    }
    assert (folder / "inner" / "a.bin").read_bytes() == bytes(range(256)) * 1000


@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=pytest.mark.nightly if x == "many_members" else ()) for x in ARCHIVES],
)
def test_an_archive_that_pack_does_not_write_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "scratch").mkdir()
    ARCHIVES[name](tmp_path / "net.tar.gz")
    with pytest.raises((ValueError, OSError, EOFError, tarfile.TarError)):
        unpack(tmp_path / "net.tar.gz", tmp_path / "scratch")
    assert {x.name for x in tmp_path.iterdir()} == {"scratch", "net.tar.gz"}


def test_a_chain_of_links_leads_nowhere(tmp_path: Path) -> None:
    for name in ("scratch", "elsewhere"):
        (tmp_path / name).mkdir()
    chain_of_links(tmp_path / "net.tar.gz", tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        unpack(tmp_path / "net.tar.gz", tmp_path / "scratch")
    assert list((tmp_path / "elsewhere").iterdir()) == []
