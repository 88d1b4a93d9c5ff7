"""Reads the JSON files that release.sh works with: manifest, report, release and Git objects.

release_state.py files FOLDER REPORT      prints the files to release, one per line; fails if the
                                          folder holds other files, or the manifest other digests
                                          than the report
release_state.py target OBJECT            prints what a Git reference or tag points to: TYPE SHA
release_state.py origin FOLDER REPOSITORY TAG COMMIT   fails unless the manifest says that the files
                                          were proved in this repository at this commit
release_state.py release RELEASE FOLDER   writes into FOLDER: 'draft', true or false; 'number', that
                                          of the release; 'assets', the names of its files, one per
                                          line; 'broken', those whose upload was not finished
release_state.py immutable RELEASE        prints whether the release, as the REST API gives it, is
                                          immutable: true or false
release_state.py published FOLDER ONLINE WHOLE   compares the files of this run with those of a
                                          published release, which kito verify found WHOLE (true or
                                          false). Prints 'complete', 'same-commit', or 'upload' and
                                          the files that are missing there, one per line; fails if
                                          a file there is not what this run would put there
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

MANIFEST, SUMS = "kito-manifest.json", "SHA256SUMS"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def files(folder: str, report: str) -> str:
    """The names of all files to release: those of the manifest, the manifest and its sums.

    The manifest must list exactly the artifacts that the report lists as proved.
    """
    listed = read(Path(folder, MANIFEST))["files"]
    checked = read(Path(report))
    if checked["passed"] is not True or checked.get("interrupted"):
        sys.exit("the report says that the checks did not pass")
    for model in checked["models"]:
        if model.get("not_run"):
            missing = ", ".join(map(ascii, model["not_run"][:5]))
            sys.exit(f"checks of {model['name']!a} were not run: {missing}; a release needs all")
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
        # GitHub replaces other characters, and removes a dot at an end or beside another dot.
        if not NAME.fullmatch(name) or ".." in name or name.endswith("."):
            sys.exit(f"GitHub would change the file name {name!a} in a release; rename the model")
    return lines(names)


def target(git_object: str) -> str:
    """The type and the SHA of what a reference or an annotated tag points to."""
    found = read(Path(git_object))["object"]
    return f"{found['type']} {found['sha']}\n"


def origin(folder: str, repository: str, tag: str, commit: str) -> str:
    """Nothing, if the files were proved in this repository at the commit of the tag."""
    manifest = read(Path(folder, MANIFEST))
    proved, where = manifest.get("commit"), manifest.get("repository", repository)
    if not isinstance(proved, str) or not COMMIT.fullmatch(proved):
        sys.exit(
            f"{MANIFEST} names no commit at which all files were proved; run the gate in a Git "
            f"checkout of the tag '{tag}', with actions/checkout before it"
        )
    if str(where).lower() != repository.lower():
        sys.exit(f"the files were proved in the repository {where!a}, not in '{repository}'")
    if proved != commit:
        sys.exit(
            f"the files were proved at commit {proved}, but the tag '{tag}' is commit {commit}; "
            "check out the tag in the job of the gate, or release under the tag of that commit"
        )
    # Without git, nothing is said.
    if manifest.get("modified", False) is None:
        sys.exit(
            f"git did not say whether files under version control differed from commit {proved} "
            f"when the models were proved; run the gate on a plain checkout of '{tag}'"
        )
    if manifest.get("modified", False) is not False:
        sys.exit(
            f"files under version control differed from commit {proved} when the models were "
            f"proved; commit the changes, and run the gate on an unchanged checkout of '{tag}'"
        )
    return ""


def release(path: str, folder: str) -> str:
    """Nothing; what is to be known of a release goes to files of FOLDER."""
    found = read(Path(path))
    names = [asset["name"] for asset in found["assets"]]
    broken = [x["name"] for x in found["assets"] if x.get("state", "uploaded") != "uploaded"]
    for name, text in {
        "draft": json.dumps(found["isDraft"]),
        # The last part of its address in the REST API.
        "number": str(int(found["apiUrl"].rsplit("/", 1)[1])),
        "assets": lines(names),
        "broken": lines(broken),
    }.items():
        Path(folder, name).write_text(text, "utf-8")
    return ""


def immutable(release: str) -> str:
    """Whether GitHub accepts no further files on the release; older servers do not say."""
    return json.dumps(read(Path(release)).get("immutable") is True)


def published(folder: str, online: str, whole: str) -> str:
    """What a published release lacks of the files of this run. See the module's docstring."""
    ours, there = read(Path(folder, MANIFEST)), Path(online)
    theirs = manifest_of(there)
    names = [entry["file"] for entry in ours["files"]]
    differing = [x for x in names if (there / x).exists() and not same(Path(folder, x), there / x)]
    repeatable = {x["file"] for x in ours["files"] if x.get("reproducible") is not False}
    if theirs is not None and theirs.get("commit", ours["commit"]) != ours["commit"]:
        sys.exit(
            f"its {MANIFEST} is of commit {theirs['commit']!a}, but the tag is now commit "
            f"{ours['commit']}; use another tag"
        )
    if not differing:
        if theirs is not None and digests(theirs) != digests(ours):
            sys.exit(f"its {MANIFEST} lists other files or digests; use another tag")
        if (there / SUMS).exists() and not same(Path(folder, SUMS), there / SUMS):
            sys.exit(f"its {SUMS} differs from that of this run; use another tag")
        missing = [name for name in [*names, MANIFEST, SUMS] if not (there / name).exists()]
        if not missing and whole != "true":
            sys.exit("its files do not agree with each other; use another tag")
        return lines(["upload", *missing]) if missing else "complete\n"
    if (
        whole == "true"
        and theirs is not None
        and theirs.get("commit") == ours["commit"]
        and {x["file"] for x in theirs["files"]} == set(names)
        and not repeatable & set(differing)
    ):
        return "same-commit\n"
    advice = "use another tag"
    if not repeatable & set(differing):
        advice = (
            "the bytes of this format differ from run to run, so run again only the job that "
            "publishes, with the files of the first run, or use another tag"
        )
    sys.exit(f"its file '{differing[0]}' has other bytes than that of this run; {advice}")


def manifest_of(folder: Path) -> Any:
    """The manifest among downloaded files, which anyone may have written; None if there is none."""
    path = folder / MANIFEST
    try:
        manifest = read(path) if path.exists() else None
        if manifest is not None:
            digests(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sys.exit(f"its {MANIFEST} is invalid; delete it there, or use another tag")
    return manifest


def digests(manifest: Any) -> set[tuple[object, ...]]:
    """What a manifest says about the bytes of the files."""
    keys = ("model", "format", "file", "bytes", "sha256")
    return {tuple(entry[key] for key in keys) for entry in manifest["files"]}


def same(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes."""
    size = 1 << 20
    with one.open("rb") as first, other.open("rb") as second:
        while (part := first.read(size)) == second.read(size):
            if not part:
                return True
    return False


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text("utf-8"))


def lines(names: Iterable[str]) -> str:
    """One name per line."""
    return "".join(f"{name}\n" for name in names)


COMMANDS: dict[str, Callable[..., str]] = {
    "files": files,
    "target": target,
    "origin": origin,
    "release": release,
    "immutable": immutable,
    "published": published,
}

if __name__ == "__main__":
    sys.stdout.write(COMMANDS[sys.argv[1]](*sys.argv[2:]))
