"""The virtual environments of the peers: made by venv and pip where they are missing.

They lie in ``.peers`` of this repository (ignored by git), or in the folder that the environment
variable ``KITO_PEERS`` names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kito.errors import KitoError

KERAS_2 = ("tensorflow==2.15.*", "keras==2.15.*", "numpy<2")
"""The last TensorFlow with Keras 2, which both peers are written for."""
PYTHONS = ("python3.11", "python3.10", "python3.9")
"""That TensorFlow is published for these."""
INSTALL_S = 1800
"""Seconds that pip may take: it downloads some 600 MB."""


@dataclass(frozen=True)
class Peer:
    """A tool to compare with."""

    name: str
    title: str
    requirements: tuple[str, ...]


PEERS = {
    "kito": Peer("kito", "KITO 1.0.5", ("kito==1.0.5", *KERAS_2)),
    "folding": Peer(
        "folding",
        "tensorflow-batchnorm-folding 1.0.9",
        ("tensorflow-batchnorm-folding==1.0.9", *KERAS_2),
    ),
}


def peers_folder() -> Path:
    """The folder that holds one environment a peer."""
    given = os.environ.get("KITO_PEERS")
    return Path(given) if given else Path(__file__).parents[2] / ".peers"


def python_of(peer: Peer) -> Path:
    """The interpreter of the environment of ``peer``, which is made if it is not there.

    An environment whose installation was interrupted is made again.

    Raises:
        KitoError: there is no fitting Python, or pip failed.
    """
    folder = peers_folder() / peer.name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed.txt"
    wanted = "\n".join(peer.requirements) + "\n"
    if not (python.exists() and done.exists() and done.read_text(encoding="utf-8") == wanted):
        _run([_interpreter(), "-m", "venv", "--clear", str(folder)], peer)
        _run([str(python), "-m", "pip", "install", "--quiet", *peer.requirements], peer)
        done.write_text(wanted, encoding="utf-8")
    return python


def _interpreter() -> str:
    if (sys.version_info.major, sys.version_info.minor) < (3, 12):
        return sys.executable
    for name in PYTHONS:
        if path := shutil.which(name):
            return path
    raise KitoError(
        f"the peers need TensorFlow 2.15, which no Python above 3.11 has, and none of "
        f"{', '.join(PYTHONS)} is on the PATH: install one of them"
    )


def _run(command: list[str], peer: Peer) -> None:
    try:
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=INSTALL_S
        )
    except subprocess.TimeoutExpired as error:
        raise KitoError(
            f"installing {peer.title} took more than {INSTALL_S} s: check the network, and "
            "run again"
        ) from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
        why = (errors or done.stderr.splitlines() or ["no message"])[-1].strip()
        raise KitoError(
            f"{peer.title} could not be installed into {peers_folder() / peer.name}: {why}"
        )
