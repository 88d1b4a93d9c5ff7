"""The table and the notes in the HTML that results give to notebooks."""

from __future__ import annotations

from html.parser import HTMLParser


class Parts(HTMLParser):
    """What was found: texts by where they stand, and the names of all tags."""

    def __init__(self) -> None:
        super().__init__()
        self.caption = ""
        self.rows: list[list[str]] = []
        self.notes: list[str] = []
        self.tags: set[str] = set()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        elif tag == "li":
            self.notes.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "tags are nested"

    def handle_data(self, data: str) -> None:
        match self._open[-1]:
            case "th" | "td":
                self.rows[-1][-1] += data
            case "li":
                self.notes[-1] += data
            case "caption":
                self.caption += data


def parse(text: str) -> Parts:
    """Parse HTML; every tag in it must be closed."""
    parts = Parts()
    parts.feed(text)
    parts.close()
    assert not parts._open
    return parts
