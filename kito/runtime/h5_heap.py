"""The heaps of an HDF5 file, in which libhdf5 goes round and round where one is broken.

Text of any length lies in a *global heap collection*: a header of 16 bytes, and then objects, each
with a header of 16 bytes and its size. libhdf5 goes from one to the next by these sizes. A free
object (of index 0) that claims no bytes leads to itself, and the library never returns.

Source: HDF5 File Format Specification, version 3.0, III.E "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import io
import struct
from typing import Any

_START = b"GCOL\x01\x00\x00\x00"
"""Signature, version and reserved bytes of a collection."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEADER = 16
_CHUNK = 1 << 24


def check_heaps(file: Any) -> None:
    """Refuse a file with a heap in which libhdf5 would not come to an end.

    Args:
        file: the open file. It is read as a whole; its position is 0 afterwards.

    Raises:
        ValueError: there is one, or sizes do not have 8 bytes, as in every file that h5py writes.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(_HEADER)
    if start.startswith(_SIGNATURE) and len(start) == _HEADER:
        of_sizes = start[14] if start[8] < 2 else start[10]  # by the version of the superblock
        if of_sizes != 8:
            raise ValueError(f"it is a broken file of HDF5: its sizes have {of_sizes} bytes")
    at, kept = 0, b""
    file.seek(0)
    while chunk := file.read(_CHUNK):
        data = kept + chunk
        begin, place = at - len(kept), data.find(_START)
        while place >= 0:
            _check_heap(file, begin + place, size)
            place = data.find(_START, place + 1)
        at += len(chunk)
        kept = data[-len(_START) + 1 :]
        file.seek(at)
    file.seek(0)


def _check_heap(file: Any, place: int, size: int) -> None:
    """Go through the objects of the collection at ``place``, as libhdf5 does."""
    file.seek(place + 8)
    length = int.from_bytes(file.read(8), "little")
    if not _HEADER <= length <= size - place:
        raise ValueError(f"it is a broken file of HDF5: the heap at byte {place} is too large")
    data = file.read(length - _HEADER)
    at = 0
    while at + _HEADER <= len(data):
        index, _, _, claimed = struct.unpack_from("<HHIQ", data, at)
        needed = claimed if index == 0 else _HEADER + -(-claimed // 8) * 8
        if not 0 < needed <= len(data) - at:
            raise ValueError(f"it is a broken file of HDF5: the heap at byte {place} has no end")
        at += needed
