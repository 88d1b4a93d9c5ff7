"""Other tools that fold BatchNormalization: does it work, is it right, how long does it take?

About a minute a cell, and up to 15 minutes; an hour in all on two cores. Before the first cell, pip
makes the environments of the tools, of 2 GB each, where they are missing.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.peers.environments import PEERS, Peer, python_of
from benchmarks.peers.session import PeerSession
from benchmarks.rounds import quick
from benchmarks.topic import Row, Rows, markdown, measured
from kito.errors import KitoError

TITLE = "Other tools: KITO 1.0.5 and tensorflow-batchnorm-folding"
ABOUT = """\
Each tool in an environment of its own, with the last Keras and TensorFlow it works with (2.15),
beside `kito.reduce` in this one: both convert the same network of `keras.applications` in turns, on
the same machine, three times. Times are medians, and the ratio is the median of the rounds' ratios.
Weights and statistics are random and calibrated. The outputs of the converted network are compared
with those of the network that the tool was given; their largest difference is relative to the
largest output, a class's probability. **left** is how many BatchNormalization stay."""
NETWORKS = (
    "MobileNet",
    "MobileNetV2",
    "ResNet50",
    "InceptionV3",
    "InceptionResNetV2",
    "Xception",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "NASNetMobile",
    "NASNetLarge",
    "ResNet152",
    "ResNet50V2",
    "MobileNetV3Small",
    "EfficientNetB0",
)
"""The networks of KITO's table that Keras 2.15 has, and four of other kinds."""
OPTIONS: dict[str, dict[str, Any]] = {
    "MobileNetV2": {"alpha": 1.4},  # that of KITO's table
    # Its size is open by default, and the peers' dropping of that is not what is measured.
    "MobileNetV3Small": {"input_shape": [224, 224, 3]},
}
ROUNDS = 3
PEER_S = 900.0
"""Seconds a cell: a peer that has not answered by then is stopped, and no round starts that would
not end by then."""
LIMIT_S = PEER_S + 600.0
"""Of the whole cell: our own side and the building of networks come on top."""
WRONG = 1e-2
"""A larger difference, relative to the largest output, is no rounding: rounding of float32 stays
below 1e-3 on these networks."""


def cells() -> tuple[str, ...]:
    """``PEER/NETWORK``."""
    return tuple(f"{peer}/{network}" for peer in PEERS for network in NETWORKS)


def prepare() -> None:
    """Make the environments that are missing."""
    for peer in PEERS.values():
        python_of(peer)


def measure(cell: str) -> dict[str, Any]:
    """One peer on one network: see ``in_turns`` for the figures."""
    from benchmarks.peers.ours import Ours

    peer, network = cell.split("/")
    options = OPTIONS.get(network, {})
    ours = Ours(network, options)
    with PeerSession(PEERS[peer]) as session:
        return in_turns(session, ours, network, options, rounds=1 if quick() else ROUNDS)


def in_turns(
    session: PeerSession,
    ours: Any,
    network: str,
    options: dict[str, Any],
    rounds: int = ROUNDS,
    limit_s: float = PEER_S,
) -> dict[str, Any]:
    """Conversion by the peer and by us in turns, then the outputs of the peer's model.

    Args:
        session: the peer at work.
        ours: has ``convert()``, which returns seconds, and ``compare()``, as the peer's.
        network: name of a function of ``keras.applications``.
        options: keyword arguments of that function.
        rounds: at most; with fewer, the limit was reached.
        limit_s: seconds of all the peer's work.

    Returns:
        ``peer_s`` and ``ours_s``, lists of seconds; ``ratio``, the median of the rounds' ratios;
        ``layers`` and ``batchnorms``, before and after; ``difference`` of outputs (largest, mean,
        and scale, the largest output); ``ours`` with the same; ``failure`` where the peer failed.
    """
    end = time.monotonic() + limit_s
    row: dict[str, Any] = {"peer_s": [], "ours_s": [], "failure": None}

    def ask(do: str, **values: Any) -> dict[str, Any]:
        answer = session.ask(do, end - time.monotonic(), **values)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    try:
        built = ask("build", network=network, options=options)
        row["versions"] = built["versions"]
        for index in range(rounds):
            began = time.monotonic()
            turns: list[Callable[[], None]] = [
                lambda: row["peer_s"].append(ask("convert")["seconds"]),
                lambda: row["ours_s"].append(ours.convert()),
            ]
            for turn in turns if index % 2 == 0 else reversed(turns):
                turn()
            now = time.monotonic()
            if now + (now - began) > end:
                break
        after = ask("compare")
        for name in ("layers", "batchnorms"):
            row[name] = [built[name], after[name]]
        row["difference"] = {name: _finite(after[name]) for name in ("max", "mean", "scale")}
    except TimeoutError:
        row["failure"] = f"not done in {limit_s / 60:.0f} minutes"
    except (RuntimeError, KitoError) as error:
        row["failure"] = str(error)
    if not row["ours_s"]:
        row["ours_s"].append(ours.convert())
    paired = list(zip(row["peer_s"], row["ours_s"], strict=False))
    row["ratio"] = statistics.median(peer / our for peer, our in paired) if paired else None
    row["ours"] = ours.compare()
    return row


def _finite(value: float) -> float | None:
    """JSON holds no NaN and no infinity."""
    return value if math.isfinite(value) else None


def table(rows: Rows) -> str:
    """One table a peer, and a sentence that counts."""
    parts = [_of_peer(peer, rows) for peer in PEERS.values()]
    return "\n\n".join(part for part in parts if part) or "Nothing is measured yet."


def _of_peer(peer: Peer, rows: Rows) -> str:
    cells = {name: f"{peer.name}/{name}" for name in NETWORKS}
    found = {name: rows[cell] for name, cell in cells.items() if cell in rows}
    if not found:
        return ""
    good = measured(found)
    right = sum(_result(row) == "right" for row in good.values())
    header = (
        f"network | {peer.title} | BatchNormalization: | left, peer / kito: "
        "| conversion by the peer, s: | by kito, s: | kito is faster by: "
        "| largest difference, peer / kito:"
    )
    whole = [
        markdown(header, [_line(name, row) for name, row in good.items()]),
        f"{peer.title} converts {right} of {len(good)} networks rightly.",
    ]
    failed = [
        f"{peer.title}, {name}: not measured, {row['error']}."
        for name, row in found.items()
        if name not in good
    ]
    return "\n\n".join([*(whole if good else []), *failed])


def _line(network: str, row: Row) -> list[str]:
    ours = row["ours"]
    before, after = row.get("batchnorms") or (ours["batchnorms"][0], "-")
    return [
        network,
        _result(row),
        str(before),
        f"{after} / {ours['batchnorms'][1]}",
        *(_median(row[name]) for name in ("peer_s", "ours_s")),
        f"{row['ratio']:.1f}x" if row["ratio"] else "-",
        " / ".join(_relative(x) for x in (row.get("difference"), ours["difference"])),
    ]


def _result(row: Row) -> str:
    if row["failure"]:
        return f"fails: `{_short(row['failure'])}`"
    difference = row["difference"]
    # No number: an output was NaN or infinite.
    if difference["max"] is None or difference["max"] > WRONG * difference["scale"]:
        return "**wrong outputs**"
    return "right"


def _relative(difference: dict[str, Any] | None) -> str:
    if difference is None or difference["max"] is None:
        return "-"
    return f"{difference['max'] / difference['scale']:.1e}"


def _median(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f}" if seconds else "-"


def _short(text: str, most: int = 90) -> str:
    """A text that fits in a cell of a Markdown table."""
    text = text.replace("|", "/").replace("`", "'")
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."
