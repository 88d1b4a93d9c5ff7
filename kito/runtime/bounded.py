"""Files from outside, read within bounds: a small file can claim, or unpack to, any size.

Importable without Keras. Every error is a ValueError or an OSError, with a message of one line.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from kito.errors import shown

MOST_JSON_BYTES = 64_000_000
"""The largest JSON text that is read."""
MOST_JSON_VALUES = 2_000_000
"""The most values of a JSON text: each takes up to a hundred bytes of memory."""
MOST_JSON_DEPTH = 32
"""The most levels of a JSON text, unless said otherwise: indented, each is paid by every value."""
FREE_BYTES = 256_000_000
"""What an archive or a file of weights may unpack to, however small it is itself."""
MOST_EXPANSION = 100
"""How many times its own size a larger one may unpack to; weights hardly compress."""
_MOST_MEMBERS = 20_000
_MOST_DIGITS = 40


def read_file(path: Path, most: int = MOST_JSON_BYTES) -> bytes:
    """The content of a file of at most ``most`` bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger.
    """
    with path.open("rb") as file:
        return _read(file, most)


def read_json(data: bytes, *, finite: bool = True, depth: int = MOST_JSON_DEPTH) -> Any:
    """A JSON text as Python's plain values.

    Args:
        data: the text in UTF-8.
        finite: refuse NaN and infinities, which are no JSON, but which Keras writes.
        depth: the most levels.

    Raises:
        ValueError: it is not JSON in UTF-8, is too large or too deep, or holds a number that a
            float cannot hold.
    """
    if len(data) > MOST_JSON_BYTES:
        raise ValueError(f"it is larger than {MOST_JSON_BYTES} bytes")
    # Each value but the first follows one of these characters; some stand inside of text.
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_JSON_VALUES:
        raise ValueError(f"it holds more than {MOST_JSON_VALUES} values")
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(
            text, parse_int=_int, parse_float=_float, parse_constant=_refuse if finite else float
        )
    except UnicodeDecodeError as error:
        raise ValueError("it is not text in UTF-8") from error
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {depth} levels") from error
    _check_depth(value, depth)
    return value


def _int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"it holds a whole number of more than {_MOST_DIGITS} digits")
    return int(digits)


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"it holds a number that is too large: {shown(text, 40)}")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _check_depth(value: Any, depth: int) -> None:
    level = [value]
    for _ in range(depth + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {depth} levels")


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive that does not unpack to far more than it holds, open inside the ``with``.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a zip archive, or holds too many members, one of them twice, or too
            many bytes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # zipfile raises much on broken archives
        raise ValueError(f"it is not a zip archive ({shown(error)})") from error
    with archive:
        members = archive.infolist()
        if len(members) > _MOST_MEMBERS:
            raise ValueError(f"it holds more than {_MOST_MEMBERS} members")
        if len({member.filename for member in members}) != len(members):
            raise ValueError("it holds two members of one name")
        check_expansion(sum(member.file_size for member in members), path.stat().st_size)
        yield archive


def check_expansion(claimed: int, size: int, free: int = FREE_BYTES) -> None:
    """Refuse ``claimed`` bytes of content in a file of ``size`` bytes.

    Raises:
        ValueError: it is more than ``free`` and more than :data:`MOST_EXPANSION` times the size.
    """
    if claimed > max(free, MOST_EXPANSION * size):
        raise ValueError(
            f"its {size} bytes claim to hold {claimed}: that is more than {MOST_EXPANSION} times "
            "as many"
        )


def zip_member(archive: zipfile.ZipFile, name: str, most: int = MOST_JSON_BYTES) -> bytes:
    """The content of a member of at most ``most`` bytes, whatever size the archive states.

    Raises:
        ValueError: there is no such member, it is larger, or it cannot be unpacked.
    """
    try:
        with archive.open(name) as file:
            return _read(file, most)
    except ValueError:
        raise
    except Exception as error:  # of zipfile, or of the way in which it is packed
        raise ValueError(f"its member {name!r} cannot be read ({shown(error)})") from error


def _read(file: IO[bytes], most: int) -> bytes:
    data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return data
