"""Other tools that fold BatchNormalization: what they convert, how long it takes, whether it is right.

Each peer runs in an environment of its own (Keras 2.15, TensorFlow 2.15), made when it is missing,
and ``kito.reduce`` in this one. Both convert the same network of ``keras.applications`` in turns, on
the same machine. Outputs are compared with those of the network that the peer was given, with random
weights and statistics.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.peers.environments import PEERS, Peer
from benchmarks.peers.session import PeerSession

TITLE = "Other tools: KITO 1.0.5 and tensorflow-batchnorm-folding"
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
LIMIT_S = 900.0
"""Seconds a cell: a peer that has not answered by then is stopped, and no round starts that would
not end by then."""
WRONG = 1e-2
"""A larger difference, relative to the largest output, is no rounding: rounding of float32 stays
below 1e-3 on these networks."""


def cells() -> tuple[str, ...]:
    """``PEER/NETWORK``."""
    return tuple(f"{peer}/{network}" for peer in PEERS for network in NETWORKS)


def measure(cell: str) -> dict[str, Any]:
    """One peer on one network: see ``in_turns`` for the figures."""
    from benchmarks.peers.ours import Ours

    peer, network = cell.split("/")
    options = OPTIONS.get(network, {})
    ours = Ours(network, options)
    with PeerSession(PEERS[peer]) as session:
        return in_turns(session, ours, network, options)


def in_turns(
    session: PeerSession,
    ours: Any,
    network: str,
    options: dict[str, Any],
    rounds: int = ROUNDS,
    limit_s: float = LIMIT_S,
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
        row["difference"] = {name: after[name] for name in ("max", "mean", "scale")}
    except TimeoutError:
        row["failure"] = f"not done in {limit_s / 60:.0f} minutes"
    except RuntimeError as error:
        row["failure"] = str(error)
    if not row["ours_s"]:
        row["ours_s"].append(ours.convert())
    paired = list(zip(row["peer_s"], row["ours_s"], strict=False))
    row["ratio"] = statistics.median(peer / our for peer, our in paired) if paired else None
    row["ours"] = ours.compare()
    gc.collect()
    return row


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """One table a peer, under its name, and a sentence that counts."""
    parts = [_of_peer(peer, rows) for peer in PEERS.values()]
    return "\n\n".join(part for part in parts if part)


def _of_peer(peer: Peer, rows: Mapping[str, Mapping[str, Any]]) -> str:
    found = {
        network: rows[f"{peer.name}/{network}"]
        for network in NETWORKS
        if f"{peer.name}/{network}" in rows
    }
    if not found:
        return ""
    right = [row for row in found.values() if _verdict(row) == "right"]
    lines = [
        f"**{peer.title}** converts {len(right)} of {len(found)} networks rightly.",
        "",
        "| network | result | BatchNormalization, before → peer / ours | peer, s | `kito.reduce`, s "
        "| times as fast | largest difference, peer / ours |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(_line(network, row) for network, row in found.items()),
    ]
    return "\n".join(lines)


def _line(network: str, row: Mapping[str, Any]) -> str:
    if "error" in row:  # the cell itself failed, so nothing is known of the peer
        return f"| {network} | not measured: {_short(row['error'])} | - | - | - | - | - |"
    ours = row["ours"]
    before, after = row.get("batchnorms") or (ours["batchnorms"][0], "-")
    seconds = [_median(row[name]) for name in ("peer_s", "ours_s")]
    ratio = f"{row['ratio']:.0f}x" if row["ratio"] else "-"
    differences = [_relative(x) for x in (row.get("difference"), ours["difference"])]
    return (
        f"| {network} | {_verdict(row)} | {before} → {after} / {ours['batchnorms'][1]} "
        f"| {seconds[0]} | {seconds[1]} | {ratio} | {differences[0]} / {differences[1]} |"
    )


def _verdict(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return "not measured"
    if row["failure"]:
        return f"fails: `{_short(row['failure'])}`"
    difference = row["difference"]
    # "not less": a NaN is wrong, too.
    return "right" if difference["max"] < WRONG * difference["scale"] else "**wrong outputs**"


def _relative(difference: Mapping[str, float] | None) -> str:
    return "-" if difference is None else f"{difference['max'] / difference['scale']:.1e}"


def _median(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f}" if seconds else "-"


def _short(text: str, most: int = 90) -> str:
    """A text that fits in a cell of a Markdown table."""
    text = text.replace("|", "/").replace("`", "'")
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."
