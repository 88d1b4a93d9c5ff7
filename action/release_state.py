"""Reads the JSON files that release.sh works with: manifest, report and release.

release_state.py files FOLDER REPORT      prints the files to release, one per line; fails if the
                                          folder holds other files, or the manifest other digests
                                          than the report
release_state.py draft RELEASE            prints whether the release is a draft: true or false
release_state.py assets RELEASE           prints the names of the release's files, one per line
release_state.py notes RELEASE TABLE BEGIN END   prints the notes, an older table replaced by TABLE
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

MANIFEST, SUMS = "kito-manifest.json", "SHA256SUMS"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def files(folder: str, report: str) -> str:
    """The names of all files to release: those of the manifest, the manifest and its sums.

    The manifest must list exactly the artifacts that the report lists as proved.
    """
    listed = json.loads(Path(folder, MANIFEST).read_text("utf-8"))["files"]
    checked = json.loads(Path(report).read_text("utf-8"))
    if checked["passed"] is not True:
        sys.exit("the report says that the checks did not pass")
    proved = {
        (model["name"], artifact["file"], artifact["sha256"])
        for model in checked["models"]
        for artifact in model["artifacts"]
    }
    if {(x["model"], x["file"], x["sha256"]) for x in listed} != proved:
        sys.exit(f"{MANIFEST} does not list exactly the files that the report says were proved")
    names = sorted([*(entry["file"] for entry in listed), MANIFEST, SUMS])
    present = sorted(path.name for path in Path(folder).iterdir())
    if present != names:
        extra = ", ".join(map(ascii, sorted(set(present) - set(names))))
        sys.exit(f"the directory of artifacts holds files that are not in {MANIFEST}: {extra}")
    for name in names:
        if not NAME.fullmatch(name):
            sys.exit(f"GitHub would change the file name {name!a} in a release; rename the model")
    return "".join(f"{name}\n" for name in names)


def draft(release: str) -> str:
    """Whether the release is a draft, as JSON."""
    return json.dumps(json.loads(Path(release).read_text("utf-8"))["isDraft"])


def assets(release: str) -> str:
    """The names of the release's files."""
    found = json.loads(Path(release).read_text("utf-8"))["assets"]
    return "".join(f"{asset['name']}\n" for asset in found)


def notes(release: str, table: str, begin: str, end: str) -> str:
    """The notes that a person wrote, followed by the table; an older table is removed."""
    body = json.loads(Path(release).read_text("utf-8"))["body"] or ""
    old = re.compile(rf"\s*{re.escape(begin)}.*?{re.escape(end)}\s*", re.DOTALL)
    text = Path(table).read_text("utf-8")
    kept = old.sub("\n\n", body).strip()
    return f"{kept}\n\n{text}" if kept else text


if __name__ == "__main__":
    command = {"files": files, "draft": draft, "assets": assets, "notes": notes}[sys.argv[1]]
    sys.stdout.write(command(*sys.argv[2:]))
