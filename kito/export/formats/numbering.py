"""Names without the numbers that a converter counts up as long as its process lives."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Numbering:
    """Gives each name, in the order in which they come, one that depends on nothing else.

    Args:
        counted: what a counter adds to a name, as a regular expression.
        kept: names that stay, and are given to no other.
    """

    def __init__(self, counted: str, kept: Iterable[str]) -> None:
        self._counted = re.compile(counted)
        self._given = {name: name for name in kept}
        self._taken = set(self._given)
        self._last: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """The name's new one, always the same; the empty name stays."""
        if name and name not in self._given:
            base = new = self._counted.sub("", name)
            while not new or new in self._taken:
                self._last[base] = self._last.get(base, 0) + 1
                new = f"{base}__{self._last[base]}"
            self._given[name] = new
            self._taken.add(new)
        return self._given.get(name, name)
