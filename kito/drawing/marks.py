"""What several places of a drawing share, and how a text gets into the markup."""

from __future__ import annotations

import html

from kito.errors import shown


def escape(text: str, most: int = 500) -> str:
    """A text from a model for HTML: no markup, and nothing that changes the text around it."""
    return html.escape(shown(text, most))


class Marks:
    """What is drawn once and used again, by an id that no other drawing of the page has."""

    def __init__(self, prefix: str) -> None:
        self.prefix = f"k{prefix}"
        self.texts: dict[int, str] = {}
        """The id of the text of a call before."""
        self._shapes: dict[str, str] = {}

    def of_text(self, call: int) -> str:
        """The id of the text of a call before, which is needed from now on."""
        return self.texts.setdefault(call, f"{self.prefix}{len(self.texts)}")

    def use_of(self, shapes: str) -> str:
        """A use of ``shapes``, which other blocks may have as well."""
        mark = self._shapes.setdefault(shapes, f"{self.prefix}s{len(self._shapes)}")
        return f"<use href=#{mark} />"

    def definitions(self) -> str:
        """What is used, in a picture of no size."""
        shapes = "".join(f"<g id={mark}>{shapes}</g>" for shapes, mark in self._shapes.items())
        return f"<svg width=0 height=0 aria-hidden=true><defs>{shapes}</defs></svg>"
