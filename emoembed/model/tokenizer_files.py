"""What of a tokenizer's file is taken: patterns that take long, or texts that grow, would stop whoever reads a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

LONGEST_PATTERN, LONGEST_REPLACEMENT, MOST_REPLACEMENTS = 500, 4, 8
REPEATED_GROUP = re.compile(r"(?:[+*}?]|\|).*\)[+*{]", re.DOTALL)
"""A group that is repeated and holds a repetition or a choice: the time it takes can double with every letter."""


def tokenizer_fault(held: Any) -> str | None:
    """Why a tokenizer's file, as JSON has it, is refused, or None."""
    replacements = 0
    for part in _parts(held):
        pattern = part.get("pattern")
        if isinstance(pattern, dict) and isinstance(pattern.get("Regex"), str):
            regex = pattern["Regex"]
            if len(regex) > LONGEST_PATTERN or REPEATED_GROUP.search(regex):
                return f"holds the pattern {regex!r:.60}, which can take for ever"
        if part.get("type") == "Replace":
            replacements += 1
            if len(str(part.get("content", ""))) > LONGEST_REPLACEMENT or replacements > MOST_REPLACEMENTS:
                return f"replaces letters by {str(part.get('content'))!r:.40}, so that texts grow"
    return None


def _parts(held: Any) -> Iterator[dict[str, Any]]:
    """Every object of a file that lies outside the vocabulary."""
    waiting = [held]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += [value for key, value in one.items() if key not in ("vocab", "merges")]
        elif isinstance(one, list):
            waiting += one
