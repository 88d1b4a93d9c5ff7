"""GitHub's API for the tags and releases of a repository, in a folder, asked by the real ``gh``.

``gh`` sends its requests to a Unix socket, as its setting ``http_unix_socket`` says. The folder:

- ``releases.json``: for each tag ``isDraft``, ``body``, and if need be ``immutable`` and
  ``starter``, the names of the files whose upload has not ended;
- ``releases/TAG``: the files;
- ``tags.json``: what each tag and each tag object points to, as ``[type, SHA]``;
- ``gh.spoil``: the name of a file that arrives with other bytes than were sent;
- ``gh.race``: files that another run adds just before a file of that name is uploaded.

Limits and messages are those of GitHub.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

API, UPLOADS = "https://api.github.com", "https://uploads.github.com"
LONGEST_BODY, MOST_FILES = 125_000, 1000
TIME = "2026-01-01T00:00:00Z"


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message}
        if detail:
            name, _, said = detail.partition(" ")
            self.body["errors"] = [
                {"resource": "ReleaseAsset", "field": name, "code": said, "message": detail}
            ]


class GitHub:
    """Answers requests from the state in a folder."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def answer(self, method: str, target: str, data: bytes, accept: str) -> tuple[int, Any]:
        """The status and the body, JSON or bytes, of the answer to a request."""
        url = urlsplit(target)
        path, query = unquote(url.path), parse_qs(url.query)
        if path == "/graphql":
            return 200, {"data": {"repository": self._graphql(json.loads(data))}}
        match = re.fullmatch(r"(/repos/[\w.-]+/[\w.-]+)/(.+)", path)
        if match is None:
            raise Refused(404, "Not Found")
        here, rest = f"{API}{match[1]}", f"{method} {match[2]}"
        if found := re.fullmatch(r"GET git/(?:ref/tags|tags)/(.+)", rest):
            return 200, self._points_to(found[1])
        if found := re.fullmatch(r"GET releases/assets/(\d+)-(\d+)", rest):
            return 200, self._file(int(found[1]), int(found[2]), accept)
        if found := re.fullmatch(r"DELETE releases/assets/(\d+)-(\d+)", rest):
            return 204, self._remove(int(found[1]), int(found[2]))
        if found := re.fullmatch(r"GET releases/tags/(.+)", rest):
            # A draft has no tag yet, so it is found by its number only.
            release = self._releases.get(found[1])
            if release is None or release["isDraft"]:
                raise Refused(404, "Not Found")
            return 200, self._shown(found[1], here)
        if rest == "POST releases":
            return 201, self._create(json.loads(data), here)
        if found := re.fullmatch(r"(GET|PATCH|POST) releases/(\d+)(/assets)?", rest):
            tag = self._tag(int(found[2]))
            if found[1] == "POST":
                return 201, self._upload(tag, query["name"][0], data, here)
            if found[1] == "PATCH":
                self._edit(tag, json.loads(data))
            shown = self._shown(tag, here)
            return 200, self._page(shown["assets"], query) if found[3] else shown
        raise Refused(404, "Not Found")

    # ---- the state ----------------------------------------------------------------------------

    @property
    def _releases(self) -> dict[str, dict[str, Any]]:
        path = self._state / "releases.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _write(self, tag: str, **properties: Any) -> None:
        releases = self._releases
        releases[tag] = {**releases.get(tag, {}), **properties}
        (self._state / "releases.json").write_text(json.dumps(releases))

    def _tag(self, number: int) -> str:
        tags = list(self._releases)
        if not 1 <= number <= len(tags):
            raise Refused(404, "Not Found")
        return tags[number - 1]

    def _folder(self, tag: str) -> Path:
        folder = self._state / "releases" / tag
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _path(self, release: int, number: int) -> tuple[str, Path]:
        tag = self._tag(release)
        for path in self._folder(tag).iterdir():
            if path.stat().st_ino == number:
                return tag, path
        raise Refused(404, "Not Found")

    def _points_to(self, name: str) -> Any:
        path = self._state / "tags.json"
        tags = json.loads(path.read_text()) if path.exists() else {}
        if name not in tags:
            raise Refused(404, "Not Found")
        kind, sha = tags[name]
        return {"object": {"type": kind, "sha": sha}}

    # ---- what a request does ------------------------------------------------------------------

    def _graphql(self, request: Any) -> dict[str, Any]:
        tag = request["variables"]["tagName"].removeprefix("refs/tags/")
        if "RepositoryFindRef" in request["query"]:
            with suppress(Refused):
                return {"ref": {"id": self._points_to(tag)["object"]["sha"]}}
            return {"ref": None}
        releases = self._releases
        if tag not in releases:
            return {"release": None}
        number = list(releases).index(tag) + 1
        return {"release": {"databaseId": number, "isDraft": releases[tag]["isDraft"]}}

    def _create(self, given: Any, here: str) -> Any:
        tag = given["tag_name"]
        if tag in self._releases:
            raise Refused(422, "Validation Failed", "tag_name already_exists")
        self._write(tag, isDraft=bool(given.get("draft")), body=_body(given))
        return self._shown(tag, here)

    def _edit(self, tag: str, given: Any) -> None:
        if "body" in given:
            self._write(tag, body=_body(given))
        if "draft" in given:
            self._write(tag, isDraft=bool(given["draft"]))

    def _upload(self, tag: str, given: str, data: bytes, here: str) -> Any:
        release, name = self._releases[tag], _safe(given)
        target, race = self._folder(tag) / name, self._state / "gh.race" / name
        if release.get("immutable") and not release["isDraft"]:
            raise Refused(422, "Cannot upload assets to an immutable release.")
        if race.exists():
            race.rename(target)
        if target.exists():
            raise Refused(422, "Validation Failed", "name already_exists")
        if len(list(self._folder(tag).iterdir())) >= MOST_FILES:
            raise Refused(422, "Validation Failed", "file_count limited to 1000 assets per release")
        spoil = self._state / "gh.spoil"
        spoiled = spoil.exists() and spoil.read_text() == name
        target.write_bytes(b"spoiled" if spoiled else data)
        return self._asset(tag, target, here)

    def _remove(self, release: int, number: int) -> bytes:
        tag, path = self._path(release, number)
        found = self._releases[tag]
        if found.get("immutable") and not found["isDraft"]:
            raise Refused(422, "Cannot delete asset from an immutable release")
        path.unlink()
        self._write(tag, starter=[x for x in found.get("starter", []) if x != path.name])
        return b""

    def _file(self, release: int, number: int, accept: str) -> Any:
        tag, path = self._path(release, number)
        if path.name in self._releases[tag].get("starter", []):
            raise Refused(404, "Not Found")
        return path.read_bytes() if "octet-stream" in accept else self._asset(tag, path, "")

    # ---- how things look ----------------------------------------------------------------------

    def _shown(self, tag: str, here: str) -> dict[str, Any]:
        release, number = self._releases[tag], list(self._releases).index(tag) + 1
        url = f"{here}/releases/{number}"
        files = sorted(self._folder(tag).iterdir())
        return {
            "id": number,
            "node_id": f"node-{number}",
            "url": url,
            "html_url": f"{here.replace('api.github.com/repos', 'github.com')}/releases/tag/{tag}",
            "assets_url": f"{url}/assets",
            "upload_url": f"{url.replace(API, UPLOADS)}/assets{{?name,label}}",
            "tag_name": tag,
            "target_commitish": "main",
            "name": tag,
            "body": release["body"],
            "draft": release["isDraft"],
            "prerelease": False,
            "immutable": release.get("immutable", False),
            "author": {"login": "test", "id": 1, "node_id": "user-1"},
            "created_at": TIME,
            "published_at": None if release["isDraft"] else TIME,
            "assets": [self._asset(tag, path, here) for path in files],
        }

    def _asset(self, tag: str, path: Path, here: str) -> dict[str, Any]:
        number, release = path.stat().st_ino, list(self._releases).index(tag) + 1
        starter = path.name in self._releases[tag].get("starter", [])
        return {
            "id": number,
            "node_id": f"asset-{number}",
            "url": f"{here}/releases/assets/{release}-{number}",
            "browser_download_url": f"{here}/{tag}/{path.name}",
            "name": path.name,
            "label": "",
            "state": "starter" if starter else "uploaded",
            "content_type": "application/octet-stream",
            "size": path.stat().st_size,
            "download_count": 0,
            "created_at": TIME,
            "updated_at": TIME,
        }

    def _page(self, items: list[Any], query: dict[str, list[str]]) -> list[Any]:
        size, page = (int(query.get(key, [d])[0]) for key, d in (("per_page", "30"), ("page", "1")))
        return items[(page - 1) * size : page * size]


def _body(given: Any) -> str:
    body = given.get("body") or ""
    if len(body) > LONGEST_BODY:
        detail = f"body is too long (maximum is {LONGEST_BODY} characters)"
        raise Refused(422, "Validation Failed", detail)
    return str(body)


def _safe(name: str) -> str:
    """The name that GitHub gives a file: other characters and runs of dots become one dot."""
    safe = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9_+@-]+", ".", name)).strip(".")
    return safe if safe == name or "." in safe else f"default.{safe}"


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, socket: Path, github: GitHub) -> None:
        super().__init__(str(socket), _Handler)
        self.github, self.lock = github, threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _respond(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        accept = self.headers.get("Accept") or ""
        body: Any
        try:
            with self.server.lock:
                status, body = self.server.github.answer(self.command, self.path, data, accept)
        except Refused as refused:
            status, body = refused.status, refused.body
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        # gh asks for a draft at the same time as for a published release, and drops one answer.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = _respond  # noqa: N815 - the base class calls them

    def address_string(self) -> str:
        return "gh"

    def log_message(self, *arguments: Any) -> None:
        """Write no log."""


@contextmanager
def serving(state: Path) -> Iterator[None]:
    """Answer the requests of a ``gh`` whose settings are in ``state/gh``."""
    settings = state / "gh"
    settings.mkdir(exist_ok=True)
    # The path of a Unix socket has at most 107 bytes: shorter than that of a test's folder.
    with tempfile.TemporaryDirectory(prefix="kito-") as folder:
        socket = Path(folder) / "github"
        (settings / "config.yml").write_text(f"http_unix_socket: {socket}\n")
        server = _Server(socket, GitHub(state))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
