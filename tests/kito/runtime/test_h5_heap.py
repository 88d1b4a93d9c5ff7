"""Heaps of HDF5 files, whole and broken."""

from __future__ import annotations

import io
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from kito.runtime import h5_heap
from kito.runtime.h5_heap import check_heaps


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A file with several heaps, of texts of many lengths."""
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content["texts"] = ["x" * (i % 97) for i in range(2000)]
        content["weights"] = np.arange(1000.0)
        content.attrs["text"] = "y" * 10_000
        del content["texts"]  # its heaps are free space now
        content["more"] = ["z" * i for i in range(300)]
    assert file.getvalue().count(b"GCOL") > 3
    return file.getvalue()


@pytest.mark.parametrize("chunk", [1 << 24, 61])
def test_whole_heaps_pass(whole: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h5_heap, "_CHUNK", chunk)
    file = io.BytesIO(whole)
    check_heaps(file)
    assert file.tell() == 0


def _first_object(index: int, size: int) -> Callable[[bytearray, int], None]:
    def change(data: bytearray, heap: int) -> None:
        data[heap + 16 : heap + 18] = index.to_bytes(2, "little")
        data[heap + 24 : heap + 32] = size.to_bytes(8, "little")

    return change


def _length(data: bytearray, heap: int) -> None:
    data[heap + 8 : heap + 16] = len(data).to_bytes(8, "little")


def _sizes(data: bytearray, heap: int) -> None:
    data[14] = 4


@pytest.mark.parametrize("chunk", [1 << 24, 61])
@pytest.mark.parametrize(
    "change, message",
    [
        (_first_object(0, 0), "the heap at byte .* has no end"),
        (_first_object(1, 2**64 - 16), "the heap at byte .* has no end"),
        (_length, "the heap at byte .* is too large"),
        (_sizes, "its sizes have 4 bytes"),
    ],
)
def test_broken_heaps_are_refused(
    whole: bytes,
    chunk: int,
    change: Callable[[bytearray, int], None],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(h5_heap, "_CHUNK", chunk)
    data = bytearray(whole)
    change(data, data.rindex(b"GCOL\x01"))
    with pytest.raises(ValueError, match=message):
        check_heaps(io.BytesIO(data))


def test_what_is_no_hdf5_passes() -> None:
    check_heaps(io.BytesIO(b""))
    check_heaps(io.BytesIO(b"some other kind of file" * 10))
