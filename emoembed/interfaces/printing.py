"""Output that several commands share."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emoembed.prediction.manifests.resumable_table import Summary

FAILURES_SHOWN = 5
UNSURE = 0.25
"""A median confidence below which the answers of a table are said to be unsure."""


def to_json(values: dict[str, Any]) -> str:
    """JSON text; letters of every script stay readable."""
    return json.dumps(values, indent=1, ensure_ascii=False)


def print_trust(summary: Summary) -> None:
    """Print on stderr how sure the answers of a table are."""
    if math.isnan(summary.median_confidence):
        return
    facts = [f"median confidence {summary.median_confidence:.2f}"]
    facts += [f"{summary.withheld} answers withheld"] if summary.withheld else []
    facts += [f"{summary.noted} rows have notes"] if summary.noted else []
    advice = "; most answers are unsure, and --abstain withholds them" if _most_are_unsure(summary) else ""
    print(f"emoembed: {', '.join(facts)}{advice}", file=sys.stderr)


def _most_are_unsure(summary: Summary) -> bool:
    return summary.median_confidence < UNSURE and not summary.withheld


def print_failures(what: str, reasons: dict[str, str], item: str = "row") -> int:
    """Print the first few failed rows, or other items, with their reasons on stderr. Returns 1 if there are any."""
    if reasons:
        print(f"emoembed: {len(reasons)} {item if len(reasons) == 1 else item + 's'} {what}", file=sys.stderr)
    for name in list(reasons)[:FAILURES_SHOWN]:
        print(f"  {name}: {reasons[name]}", file=sys.stderr)
    if len(reasons) > FAILURES_SHOWN:
        print(f"  and {len(reasons) - FAILURES_SHOWN} more", file=sys.stderr)
    return 1 if reasons else 0
