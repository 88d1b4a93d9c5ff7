"""Broken, bomb-like and malicious ``.npz`` files, reports, manifests, kito.yaml and archives."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kito.export.manifest import MANIFEST, SUMS

ODD_NAMES = (
    "\x1b[31mred",
    "\n::error::x",
    "::error::x",
    "\u202egro.keras",
    "\u2066\u2069",
    "\ud800",
    "\x00",
    "\x9b31m",
    "a" * 100_000,
    "../../etc/passwd",
    "con",
    "",
)
"""Texts that act on a terminal or on a runner, that lead elsewhere, or that are too long."""

DATA: dict[str, Callable[[Path], None]] = {}
"""Writes an ``.npz`` file."""


class Evil:
    """Writes a file ``ran`` where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def _npy(shape: str, dtype: str = "'<f4'", data: bytes = b"") -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def _npz(*members: tuple[str, bytes], packed: bool = True) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, data in members:
                archive.writestr(name, data)

    return build


def _arrays(**arrays: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)


def _bytes(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def _npy_of_zeros(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x.npy", _npy("(75000000,)", data=bytes(300_000_000)))


_OBJECTS = np.array([Evil()], dtype=object)
DATA |= {
    "empty": _bytes(b""),
    "text": _bytes(b"no arrays\n"),
    "a_pickle": _bytes(pickle.dumps(Evil())),
    "an_npy": _bytes(_npy("(4, 4)", data=bytes(64))),
    "no_arrays": _npz(),
    "objects": _arrays(x=_OBJECTS),
    "objects_in_a_struct": _npz(("x.npy", _npy("(1,)", "[('a', '|O')]", pickle.dumps(Evil())))),
    "claims_much": _npz(("x.npy", _npy("(1000000, 1000000)", data=bytes(100)))),
    "claims_more_than_a_number": _npz(("x.npy", _npy(f"({10**30},)", data=bytes(100)))),
    "negative_shape": _npz(("x.npy", _npy("(-4, 4)", data=bytes(64)))),
    "code_in_the_header": _npz(("x.npy", _npy("__import__('os').mkdir('ran')"))),
    "deep_header": _npz(("x.npy", _npy("(" * 4000))),
    "no_magic": _npz(("x.npy", b"text")),
    "not_an_npy": _npz(("x", b"text")),
    "cut_array": _npz(("x.npy", _npy("(4, 4)", data=bytes(8)))),
    "of_zeros": _npy_of_zeros,
    "unknown_dtype": _npz(("x.npy", _npy("(4,)", "'<q9'"))),
    "a_name_twice": lambda path: _twice(path),
    "nan": _arrays(x=np.full((4, 4), np.nan)),
    "complex": _arrays(x=np.ones((4, 4), complex)),
    "text_array": _arrays(x=np.array([["a"] * 4] * 4)),
    "dates": _arrays(x=np.zeros((4, 4), "datetime64[s]")),
    "other_shape": _arrays(x=np.ones((4, 9))),
    "no_samples": _arrays(x=np.ones((0, 4))),
    "scalar": _arrays(x=np.float32(1)),
    "other_names": _arrays(y=np.ones((4, 4)), z=np.ones((4, 4))),
    "names_that_act": _npz(
        *((f"{x[:200]}.npy", _npy("(1,)", data=bytes(4))) for x in ODD_NAMES[:5])
    ),
}


def _twice(path: Path) -> None:
    stream = io.BytesIO()
    for data in (bytes(64), b"\x01" * 64):
        with zipfile.ZipFile(stream, "a") as archive:
            archive.NameToInfo.clear()
            archive.writestr("x.npy", _npy("(4, 4)", data=data))
    path.write_bytes(stream.getvalue())


# ---- JSON ---------------------------------------------------------------------------------------

TEXTS: dict[str, bytes] = {
    "empty": b"",
    "text": b"no json",
    "broken": b'{"models": [',
    "binary": bytes(range(256)),
    "not_utf8": b'{"a": "\xff"}',
    "utf16": '{"a": 1}'.encode("utf-16"),
    "null": b"null",
    "number": b"1",
    "list": b"[]",
    "mapping": b"{}",
    "deep": b"[" * 100_000,
    "deep_and_closed": b"[" * 50_000 + b"]" * 50_000,
    "deep_mappings": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "huge_int": b'{"schema_version": 1' + b"0" * 10_000 + b"}",
    "huge_float": b'{"schema_version": 1e999}',
    "nan": b'{"schema_version": NaN}',
    "many_lists": b"[" + b"[]," * 3_000_000 + b"1]",
    "large": b" " * 70_000_000,
}
"""Texts that are neither a report nor a manifest."""

_WRONG: tuple[Any, ...] = (None, True, -1, 10**30, 1e308, "x", [], [1], {}, {"a": 1})


def each_value(content: Any, each: bool) -> Iterator[tuple[str, Any]]:
    """Copies of plain data, by name, each with one value replaced by one of a wrong type.

    Args:
        content: the plain data.
        each: whether to try several wrong values at each place, or a single one.
    """
    waiting: list[tuple[Any, ...]] = [(key,) for key in content]
    place = 0
    while waiting:
        path = waiting.pop()
        value = content
        for key in path:
            value = value[key]
        keys = list(value) if isinstance(value, dict) else []
        keys = list(range(len(value))) if isinstance(value, list) else keys
        waiting += [(*path, key) for key in keys]
        place += 1
        for number, wrong in enumerate(_WRONG):
            if number == place % len(_WRONG) or (each and number % 3 == place % 3):
                copy = json.loads(json.dumps(content))
                inner = copy
                for key in path[:-1]:
                    inner = inner[key]
                inner[path[-1]] = wrong
                yield f"{'.'.join(map(str, path))} = {wrong!r}", copy


# ---- the folder of artifacts --------------------------------------------------------------------

Place = Callable[[Path], None]
"""Changes a valid folder of artifacts."""


def _entry(**changed: Any) -> Place:
    def place(folder: Path) -> None:
        content = json.loads((folder / MANIFEST).read_text())
        content["files"][0].update(changed)
        (folder / MANIFEST).write_text(json.dumps(content))

    return place


def _instead(name: str, make: Callable[[Path], Any]) -> Place:
    def place(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return place


FOLDERS: dict[str, Place] = {
    "manifest_is_a_folder": _instead(MANIFEST, Path.mkdir),
    "manifest_is_a_pipe": _instead(MANIFEST, os.mkfifo),
    "manifest_is_a_device": _instead(MANIFEST, lambda path: path.symlink_to("/dev/zero")),
    "manifest_is_a_circle": _instead(MANIFEST, lambda path: path.symlink_to(path)),
    "sums_are_a_folder": _instead(SUMS, Path.mkdir),
    "sums_are_a_pipe": _instead(SUMS, os.mkfifo),
    "sums_are_binary": lambda folder: (folder / SUMS).write_bytes(bytes(range(256))) and None,
    "sums_are_large": lambda folder: (folder / SUMS).write_bytes(b" " * 70_000_000) and None,
    "artifact_is_a_folder": _instead("net.keras", Path.mkdir),
    "artifact_is_a_pipe": _instead("net.keras", os.mkfifo),
    "artifact_is_a_circle": _instead("net.keras", lambda path: path.symlink_to(path)),
    "file_of_255_bytes": _entry(file="n" * 249 + ".keras", model="n" * 249),
    "file_of_256_bytes": _entry(file="n" * 250 + ".keras", model="n" * 250),
    "file_of_wide_letters": _entry(file="ß" * 130 + ".keras", model="ß" * 130),
    "file_that_windows_reserves": _entry(file="con.keras", model="con"),
    "format_unknown": _entry(format="\x1b[31m"),
    "bytes_negative": _entry(bytes=-1),
    "sum_that_acts": _entry(sha256="\n::error::x"),
    "unlisted_name_that_acts": lambda folder: (folder / "\x1b[31m\n::error::.keras").touch(),
    "unlisted_name_not_utf8": lambda folder: open(
        os.fsencode(folder) + b"/\xff.keras", "x"
    ).close(),
    **{
        f"{key}_{number}": _entry(**{key: name})
        for number, name in enumerate(ODD_NAMES)
        for key in ("file", "model", "format")
    },
}

# ---- archives -----------------------------------------------------------------------------------

Member = tuple[str, bytes, dict[str, Any]]
"""Name, content, and what else is in the header of a member."""


def _tar(path: Path, *members: Member, **how: Any) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1, **how) as archive:
        for name, data, header in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in header.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))


def _folder(name: str = "net") -> Member:
    return name, b"", {"type": tarfile.DIRTYPE, "mode": 0o755}


def _link(name: str, target: str, hard: bool = False) -> Member:
    kind = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
    return name, b"", {"type": kind, "linkname": target}


def chain_of_links(path: Path, target: Path) -> None:
    """An archive whose links are each allowed, and lead together to ``target``, a folder elsewhere.

    The way through sixteen links is longer than a system resolves, so a check of the last link sees
    another place than the system does later.
    """
    steps, inside = "abcdefghijklmnop", "net"
    members = [_folder()]
    for step in steps:
        part = "d" * 247
        members += [_folder(f"{inside}/{part}"), _link(f"{inside}/{step}", part)]
        inside = f"{inside}/{part}"
    last = "net/" + "/".join(steps) + "/" + "l" * 254
    members.append(_link(last, "../" * len(steps)))
    up = "../" * 15  # fewer than the steps, so that the path seems to stay inside
    members += [
        _link("net/escape", f"{'/'.join(steps)}/{'l' * 254}/{up}{str(target)[1:]}"),
        ("net/escape/ran", b"x", {}),
    ]
    _tar(path, *members)


def _zeros(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        member = tarfile.TarInfo("net/zeros")
        member.size = 400_000_000
        file.write(member.tobuf())
        for _ in range(400):
            file.write(bytes(1_000_000))
        file.write(bytes(1024))


def _pax_of_zeros(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        member = tarfile.TarInfo("net")
        member.type, member.size = tarfile.XHDTYPE, 400_000_000
        file.write(member.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(400):
            file.write(bytes(1_000_000))
        file.write(bytes(1024))


def _negative(path: Path) -> None:
    member = tarfile.TarInfo("net/a")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (-512).to_bytes(12, "big", signed=True)
    header[148:156] = b"        "
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    path.write_bytes(gzip.compress(bytes(header) + bytes(1024)))


ARCHIVES: dict[str, Callable[[Path], None]] = {
    "empty": _bytes(b""),
    "text": _bytes(b"no archive"),
    "an_empty_gzip": _bytes(gzip.compress(b"")),
    "gzip_of_text": _bytes(gzip.compress(b"text" * 1000)),
    "cut": lambda path: _cut(path),
    "no_members": lambda path: _tar(path),
    "two_folders": lambda path: _tar(path, _folder("a"), _folder("b")),
    "a_file_alone": lambda path: _tar(path, ("net", b"x", {})),
    "climbs": lambda path: _tar(path, _folder(), ("net/../../ran", b"x", {})),
    "absolute": lambda path: _tar(path, _folder(), (f"{path.parent}/ran", b"x", {})),
    "of_windows": lambda path: _tar(path, _folder(), ("net\\..\\..\\ran", b"x", {})),
    "of_a_drive": lambda path: _tar(path, _folder(), ("net/C:ran", b"x", {})),
    "link": lambda path: _tar(path, _folder(), _link("net/a", "b")),
    "link_out": lambda path: _tar(
        path, _folder(), _link("net/a", str(path.parent)), ("net/a/ran", b"x", {})
    ),
    "hard_link": lambda path: _tar(path, _folder(), _link("net/a", "net/b", True)),
    "hard_link_out": lambda path: _tar(path, _folder(), _link("net/a", "/etc/passwd", True)),
    "chain_of_links": lambda path: chain_of_links(path, path.parent),
    "pipe": lambda path: _tar(path, _folder(), ("net/a", b"", {"type": tarfile.FIFOTYPE})),
    "device": lambda path: _tar(path, _folder(), ("net/a", b"", {"type": tarfile.CHRTYPE})),
    "a_file_twice": lambda path: _tar(path, _folder(), *[("net/a", b"x", {})] * 2),
    "a_folder_twice": lambda path: _tar(path, _folder(), _folder()),
    "a_file_as_folder": lambda path: _tar(
        path, _folder(), ("net/a", b"", {}), ("net/a/b", b"", {})
    ),
    "name_that_acts": lambda path: _tar(path, _folder(), ("net/\x1b[31m\n::error::", b"", {})),
    "name_too_long": lambda path: _tar(path, _folder(), ("net/" + "a" * 300, b"", {})),
    "path_too_long": lambda path: _tar(path, _folder(), ("net/" + "a/" * 3000 + "a", b"", {})),
    "many_members": lambda path: _tar(
        path, _folder(), *((f"net/{i}", b"", {}) for i in range(21_000))
    ),
    "of_zeros": _zeros,
    "header_of_zeros": _pax_of_zeros,
    "size_negative": _negative,
    "sparse": lambda path: _tar(
        path,
        _folder(),
        ("net/a", b"", {"pax_headers": {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(10**15)}}),
    ),
}


def _cut(path: Path) -> None:
    _tar(path, _folder(), ("net/saved_model.pb", bytes(range(256)) * 100, {}))
    path.write_bytes(path.read_bytes()[:-100])


# ---- kito.yaml ----------------------------------------------------------------------------------

_MODEL = b"  net: {source: a.b"
CONFIGS: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not_utf8": b"version: 1\nmodels: \xff\n",
    "utf16": "version: 1\n".encode("utf-16"),
    "too_large": b"#" * 2_000_000,
    "one_long_line": b"version: " + b"1" * 900_000,
    "one_long_key": b"? " + b"k" * 900_000 + b"\n: 1\n",
    "one_long_text": b"version: 1\nmodels: '" + b"x " * 400_000 + b"'\n",
    "deep_lists": b"version: " + b"[" * 100_000,
    "deep_blocks": b"\n".join(b" " * i + b"a:" for i in range(1000)),
    "many_documents": b"---\n" * 100_000,
    "many_values": b"version: [" + b"1," * 400_000 + b"1]",
    "many_keys": b"".join(b"k%d: 1\n" % i for i in range(30_000)),
    "aliases": b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (i, i, b",".join([b"*%c" % (i - 1)] * 9)) for i in range(98, 122)
    ),
    "alias_of_itself": b"version: 1\nmodels: &m {net: *m}\n",
    "python_tag": b"version: 1\nmodels: !!python/object/apply:os.system ['touch ran']\n",
    "python_name": b"!!python/name:os.system\n",
    "merge_key": b"version: 1\nmodels: {<<: {net: {source: a.b}}}\n",
    "huge_int": b"version: " + b"9" * 10_000,
    "keys_that_act": b'version: 1\nmodels: {"\\e[31m\\n::error::": {source: a.b}}\n',
    "values_that_act": b'version: 1\nmodels: {net: {source: "\\e[31m\\n::error::\\u202e"}}\n',
    "unknown_key_that_acts": b'version: 1\nmodels: {net: {source: a.b, "\\e]0;x\\a": 1}}\n',
    "file_that_acts": b'version: 1\nmodels: {net: {source: "\\e[31m\\0.keras"}}\n',
    "file_of_a_long_name": b'version: 1\nmodels: {net: {source: "' + b"a" * 5000 + b'.keras"}}\n',
    "name_that_is_reserved": b"version: 1\nmodels: {CON.v1: {source: a.b}}\n",
    "name_that_is_long": b"version: 1\nmodels: {" + b"n" * 5000 + b": {source: a.b}}\n",
    "unclosed": b"version: 1\nmodels: {net: {source: 'a.b\n",
    "defaults_into_all": b"version: 1\ndefaults:\n  kwargs: {%s}\nmodels:\n%s"
    % (
        b", ".join(b"k%d: 1" % i for i in range(4800)),
        b"".join(b"  m%d: {source: a.b, kwargs: {}}\n" % i for i in range(1200)),
    ),
    "all_models_wrong": b"version: 1\nmodels:\n"
    + b"".join(b"  m%d: {sauce: a.b, kwargs: 1}\n" % i for i in range(3000)),
}
