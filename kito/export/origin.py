"""Where a file comes from: repository, ref, commit and run, as far as they are known."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_TIME_S = 60.0
_FROM_GITHUB = {
    "repository": "GITHUB_REPOSITORY",
    "ref": "GITHUB_REF",
    "run": "GITHUB_RUN_ID",
    "attempt": "GITHUB_RUN_ATTEMPT",
}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def head(root: Path) -> str | None:
    """The commit that is checked out in ``root``; None outside of a repository, or without git."""
    commit = (_git(root, "rev-parse", "--verify", "HEAD") or "").strip()
    return commit if _COMMIT.fullmatch(commit) else None


def origin(root: Path, commit: str | None = None) -> dict[str, Any]:
    """Where the files come from that were made of what is in ``root``.

    Args:
        root: the folder of kito.yaml.
        commit: what :func:`head` said when the work began; by default, the commit of now.

    Returns:
        ``repository``, ``ref``, ``commit``, ``run`` and ``attempt``, those that are known, as text.
        With a commit of ``root``, also ``modified``: whether tracked files differ from it, or
        another commit has been checked out since; None where git does not say.
    """
    known: dict[str, Any] = {
        key: value for key, name in _FROM_GITHUB.items() if (value := os.environ.get(name))
    }
    now = head(root)
    commit = commit or now
    if commit is not None:
        changes = _git(root, "status", "--porcelain", "--untracked-files=no")
        modified = None if changes is None else bool(changes.strip()) or now != commit
        return {**known, "commit": commit, "modified": modified}
    commit = os.environ.get("GITHUB_SHA", "")
    return {**known, "commit": commit} if _COMMIT.fullmatch(commit) else known


def common(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What all entries of a manifest agree on in their ``origin``.

    The jobs of one run can differ in their ``attempt``, where one of them was run again. A checkout
    that was ``modified``, or may have been (None), counts for all.
    """
    origins = [entry.get("origin") or {} for entry in entries]
    first, *others = origins or [{}]
    agreed = {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }
    told = [origin.get("modified", False) for origin in origins]
    if True in told:
        agreed["modified"] = True
    elif None in told:
        agreed["modified"] = None
    return agreed


def _git(root: Path, *command: str) -> str | None:
    """The output of a git command that only reads; None where it fails or takes too long."""
    # A checkout of another user, as in a container, is read all the same; but git runs nothing.
    safe = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
    # What git tells its hooks is about another command, and may be about another repository.
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environ |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *safe, *command],
            cwd=root,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIME_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
