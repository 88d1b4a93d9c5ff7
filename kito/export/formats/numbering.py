"""Reproducible names: without the numbers that a converter counts up while its process lives."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Numbering:
    """Renames: each new name depends only on the old names and the order in which they are asked.

    Args:
        counter: a regular expression of what the converter's counter adds to a name.
        kept: names that stay as they are, and that no other name becomes.
    """

    def __init__(self, counter: str, kept: Iterable[str]) -> None:
        self._counter = re.compile(counter)
        self._new = {name: name for name in kept}
        self._taken = set(self._new)
        self._last: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """The new name, always the same for one old name; an empty name stays empty."""
        if name and name not in self._new:
            base = new = self._counter.sub("", name)
            while not new or new in self._taken:
                self._last[base] = self._last.get(base, 0) + 1
                new = f"{base}__{self._last[base]}"
            self._new[name] = new
            self._taken.add(new)
        return self._new.get(name, name)
