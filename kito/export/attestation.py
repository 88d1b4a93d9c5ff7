"""The signature on a manifest: which repository's workflow made it, as GitHub's ``gh`` verifies it.

A GitHub workflow can sign the digests of files ("artifact attestation", SLSA provenance). The
manifest lists the SHA-256 of every artifact, so the signature on it covers them all.

``gh attestation verify`` does the cryptography. Its exit code alone is not believed: before version
2.67 it was 0 where nothing had been verified (GHSA-fgw4-v983-mgp8). Its JSON must hold a verified
statement about the very bytes of the manifest.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kito.errors import KitoError, shown
from kito.export.files import sha256
from kito.export.manifest import MANIFEST

SECONDS = 120
"""How long ``gh`` may take; it fetches signatures and keys unless they are given as files."""
NOT_LOGGED_IN = 4
"""The exit code of ``gh`` where it has no token."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Trust:
    """Who must have signed, and where the signature is.

    Attributes:
        repository: ``OWNER/REPOSITORY`` whose workflow run must have signed.
        signer: ``OWNER/REPOSITORY`` of the workflow's file; None if it is in ``repository`` itself.
            A reusable workflow signs in the name of the repository that holds its file.
        bundle: a file of signatures, or a directory into which ``gh attestation download`` wrote
            them; None to fetch them from GitHub.
        trusted_root: a file of keys that ``gh attestation trusted-root`` wrote; None to fetch them.
    """

    repository: str
    signer: str | None = None
    bundle: Path | None = None
    trusted_root: Path | None = None

    def __post_init__(self) -> None:
        for name in filter(None, (self.repository, self.signer)):
            if not _REPOSITORY.fullmatch(name):
                raise KitoError(f"{name!a} is not a repository; write OWNER/REPOSITORY")
        for path in filter(None, (self.bundle, self.trusted_root)):
            if not path.exists():
                raise KitoError(f"there is no file {str(path)!a}; gh attestation writes it")


@dataclass(frozen=True)
class Attestation:
    """What the certificate of the signature says. GitHub fills it in, not the workflow.

    Attributes:
        repository: ``OWNER/REPOSITORY`` of the run.
        workflow: the URL of the workflow's file at its ref.
        ref: the ref of the run, such as ``refs/tags/v1``.
        commit: the commit of the run.
        run: the URL of the run.
    """

    repository: str
    workflow: str
    ref: str
    commit: str
    run: str

    def to_dict(self) -> dict[str, str]:
        """Plain data for JSON."""
        return asdict(self)


def verify_attestation(folder: Path, trust: Trust) -> Attestation | str:
    """Verify the signature on the manifest of ``folder``.

    The artifacts are not read: check them against the manifest with
    :func:`kito.export.manifest.verify`.

    Returns:
        What the certificate says, or, where the manifest is not proved to be signed, the reason in
        one line.

    Raises:
        KitoError: ``gh`` is not installed, not logged in, or does not answer.
        OSError: the manifest cannot be read.
    """
    manifest = (folder / MANIFEST).absolute()
    digest = sha256(manifest)
    command = [_gh(), "attestation", "verify", str(manifest), "--repo", trust.repository]
    if trust.signer is not None:
        command += ["--signer-repo", trust.signer]
    if trust.bundle is not None:
        bundle = _bundle(trust.bundle, digest)
        if bundle is None:
            return f"{MANIFEST}: {str(trust.bundle)!a} holds no signature of it, sha256:{digest}"
        command += ["--bundle", str(bundle)]
    if trust.trusted_root is not None:
        command += ["--custom-trusted-root", str(trust.trusted_root.absolute())]
    done = _run([*command, "--format", "json"])
    if done.returncode == NOT_LOGGED_IN:
        raise KitoError(
            "gh needs a token to fetch the signature: run 'gh auth login', set GH_TOKEN, or give "
            "the signature as a file with --bundle"
        )
    if done.returncode != 0:
        return (
            f"{MANIFEST}: is not signed by a workflow of {trust.repository}: {_last(done.stderr)}"
        )
    found = _verified(done.stdout, digest)
    if found is None:
        return (
            f"{MANIFEST}: gh verified no statement about it; update gh to 2.67 or later, whose "
            "exit code can be trusted"
        )
    return found


def _gh() -> str:
    path = shutil.which("gh")
    if path is None:
        raise KitoError(
            "--attestation needs the GitHub CLI, gh, on PATH; see https://cli.github.com"
        )
    return path


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}
    try:
        return subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise KitoError(f"gh did not answer within {SECONDS} s; try again") from None
    except OSError as error:
        raise KitoError(f"gh cannot be run: {error.strerror}") from error


def _bundle(path: Path, digest: str) -> Path | None:
    """The file of signatures: ``path``, or the file of the digest in the directory ``path``."""
    if path.is_file():
        return path.absolute()
    # gh writes "sha256:DIGEST.jsonl", and a dash for the colon on Windows.
    names = [path / f"sha256{mark}{digest}.jsonl" for mark in ":-"]
    return next((name.absolute() for name in names if name.is_file()), None)


def _verified(output: str, digest: str) -> Attestation | None:
    """The first verified statement that is about a file of this digest."""
    try:
        results: Any = json.loads(output)
        for result in (entry["verificationResult"] for entry in results):
            subjects = result["statement"]["subject"]
            if any(subject["digest"].get("sha256") == digest for subject in subjects):
                certificate = result["signature"]["certificate"]
                return Attestation(
                    repository=urlsplit(certificate["sourceRepositoryURI"]).path.strip("/"),
                    workflow=str(certificate["buildSignerURI"]),
                    ref=str(certificate["sourceRepositoryRef"]),
                    commit=str(certificate["sourceRepositoryDigest"]),
                    run=str(certificate["runInvocationURI"]),
                )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return None


def _last(text: str) -> str:
    """The last line that a command printed, at most 300 characters of it, as plain text."""
    lines = [line for line in text.splitlines() if line.strip()]
    line = " ".join(lines[-1].split()) if lines else "gh gives no reason"
    return shown(line.removeprefix("Error: "), 300)
