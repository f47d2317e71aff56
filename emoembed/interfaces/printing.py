"""Output that several commands share."""

from __future__ import annotations

import json
import sys
from typing import Any

FAILURES_SHOWN = 5


def to_json(values: dict[str, Any]) -> str:
    """JSON text; letters of every script stay readable."""
    return json.dumps(values, indent=1, ensure_ascii=False)


def print_failures(what: str, reasons: dict[str, str]) -> int:
    """Print the first few failed rows with their reasons on stderr. Returns 1 if there are any, else 0."""
    if reasons:
        print(f"emoembed: {len(reasons)} {'row' if len(reasons) == 1 else 'rows'} {what}", file=sys.stderr)
    for item in list(reasons)[:FAILURES_SHOWN]:
        print(f"  {item}: {reasons[item]}", file=sys.stderr)
    if len(reasons) > FAILURES_SHOWN:
        print(f"  and {len(reasons) - FAILURES_SHOWN} more", file=sys.stderr)
    return 1 if reasons else 0
