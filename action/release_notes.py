"""Prints the notes of a release: the words of a person, the table, and how to check a download.

release_notes.py RELEASE SUMMARY MANIFEST REPOSITORY RUN SIGNED

RELEASE is the JSON of the release, or a file that does not exist; SUMMARY the table in Markdown;
MANIFEST the manifest whose digest the notes name; RUN the address of the run; SIGNED is true where
the files were signed. An older table is replaced. Where the notes would be longer than GitHub
allows, rows of the table are left out, then the table; the words of a person stay whole. Exit code
3: not even the digest has room.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

BEGIN, END = "<!-- kito: begin -->", "<!-- kito: end -->"
BLOCK = re.compile(rf"\s*{re.escape(BEGIN)}.*?{re.escape(END)}\s*", re.DOTALL)
LIMIT = 125_000
"""The characters that GitHub allows; with more, its answer is HTTP 422, 'body is too long'."""


def notes(body: str, table: str, proof: str, run: str) -> str | None:
    """The longest notes that have room; None if there are none."""
    kept = BLOCK.sub("\n\n", body).strip()
    kept += "\n\n" if kept else ""
    head, rows, tail = split(table)
    if size(text := kept + block([table.strip(), proof])) <= LIMIT:
        return text
    # From the end: rows are cut whole until the rest has room.
    room = LIMIT - size(kept + block([head, left_out(len(rows), run), tail, proof]))
    count = 0
    for row in rows:
        room -= size(row) + 1
        if room < 0:
            break
        count += 1
    for parts in (
        ["\n".join([head, *rows[:count]]), left_out(len(rows) - count, run), tail, proof],
        [proof],
    ):
        if size(text := kept + block([part for part in parts if part])) <= LIMIT:
            return text
    return None


def split(table: str) -> tuple[str, list[str], str]:
    """The lines up to the rule of the table, its rows, and what follows."""
    text = table.strip().splitlines()
    rule = next((i for i, line in enumerate(text) if line.startswith("| ---")), len(text) - 1)
    end = next((i for i in range(rule + 1, len(text)) if not text[i].startswith("|")), len(text))
    return "\n".join(text[: rule + 1]), text[rule + 1 : end], "\n".join(text[end:]).strip()


def left_out(count: int, run: str) -> str:
    """The line that says how many rows are missing, and where they are."""
    models = f"{count} more model{'s' * (count != 1)}"
    return f"{models} had no room here; the summary and the report of [the run]({run}) list all."


def block(parts: list[str]) -> str:
    """The part of the notes that the next run replaces."""
    return "\n\n".join([BEGIN, *parts, END]) + "\n"


def size(text: str) -> int:
    """The length in UTF-16 code units: at least the number of characters."""
    return len(text.encode("utf-16-le")) // 2


def proof(manifest: str, repository: str, signed: bool) -> str:
    """The digest of the manifest, and the commands that check a download."""
    digest = sha256(Path(manifest).read_bytes()).hexdigest()

    def commands() -> Iterator[str]:
        yield "sha256sum --check SHA256SUMS"
        yield f"echo '{digest}  kito-manifest.json' | sha256sum --check"
        yield "kito verify ."
        if signed:
            yield f"gh attestation verify kito-manifest.json --repo {repository}"

    listed = "\n".join(commands())
    return (
        f"SHA-256 of `kito-manifest.json`: `{digest}`\n\n"
        f"Check the downloaded files in their directory:\n\n```sh\n{listed}\n```"
    )


def main(release: str, summary: str, manifest: str, repository: str, run: str, signed: str) -> None:
    """Print the notes, or exit with code 3."""
    path = Path(release)
    body = json.loads(path.read_text("utf-8"))["body"] or "" if path.exists() else ""
    table = Path(summary).read_text("utf-8")
    text = notes(body, table, proof(manifest, repository, signed == "true"), run)
    if text is None:
        sys.exit(3)
    sys.stdout.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
