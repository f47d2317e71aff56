"""Checks of a tokenizer file. Slow patterns and replacements that make texts grow could block the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

LONGEST_PATTERN, LONGEST_REPLACEMENT, MOST_REPLACEMENTS = 500, 4, 8
REPEATED_GROUP = re.compile(r"(?:[+*}?]|\|).*\)[+*{]", re.DOTALL)
"""A repeated group with a repetition or an alternative in it. Its matching time can double with every letter."""


def tokenizer_fault(held: Any) -> str | None:
    """The reason why the JSON content of a tokenizer file is refused, or None."""
    replacements = 0
    for part in _parts(held):
        pattern = part.get("pattern")
        if isinstance(pattern, dict) and isinstance(pattern.get("Regex"), str):
            regex = pattern["Regex"]
            if len(regex) > LONGEST_PATTERN or REPEATED_GROUP.search(regex):
                return f"has the pattern {regex!r:.60}, which may never finish"
        if part.get("type") == "Replace":
            replacements += 1
            if len(str(part.get("content", ""))) > LONGEST_REPLACEMENT or replacements > MOST_REPLACEMENTS:
                return f"replaces letters by {str(part.get('content'))!r:.40}, which makes texts grow"
    return None


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object of a file outside the vocabulary."""
    queue = [content]
    while queue:
        node = queue.pop()
        if isinstance(node, dict):
            yield node
            queue += [value for key, value in node.items() if key not in ("vocab", "merges")]
        elif isinstance(node, list):
            queue += node
