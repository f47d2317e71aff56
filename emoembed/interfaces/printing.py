"""Output that several commands share."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emoembed.prediction.dialogue.result import DialogueResult
    from emoembed.prediction.manifests.resumable_table import Summary
    from emoembed.prediction.result import Result
    from emoembed.prediction.result_list import Results

FAILURES_SHOWN, TEXT_SHOWN = 5, 50
UNSURE = 0.25
"""A median confidence below which the answers of a table are said to be unsure."""


def to_json(values: dict[str, Any] | list[dict[str, Any]]) -> str:
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


def readable(result: Result) -> str:
    """The result as text: scores, the scores and weight of each modality, absent modalities and notes."""
    lines = [result.label or "none of these", "", result.to_frame().round(3).to_string()]
    lines += ["", "weights: " + ", ".join(f"{name} {scores.weight:.2f}" for name, scores in result.modalities.items())]
    lines.append(f"confidence: {result.confidence:.2f}")
    if len(result.modalities) > 1:
        lines.append(f"disagreement: {result.disagreement:.2f}")
    lines += [f"absent: {name}: {reason}" for name, reason in result.absent.items()]
    return "\n".join(lines + [f"note: {note} [{note.code}]" for note in result.notes])


def readable_list(texts: Sequence[str], results: Results) -> str:
    """The results of texts as a table, one line per text."""
    table = results.to_frame().drop(columns=["notes", "absent", "weight_text"], errors="ignore")
    table.insert(0, "text", [text[:TEXT_SHOWN] for text in texts], allow_duplicates=True)
    notes = dict.fromkeys(f"note: {note} [{note.code}]" for result in results for note in result.notes)
    return "\n".join([table.round(3).astype(object).fillna("").to_string(index=False), *notes])


def readable_dialogue(dialogue: DialogueResult) -> str:
    """The turns of a dialogue as text, and the summary of each speaker."""
    table = dialogue.to_frame().astype({"text": object})
    table["text"] = [(text or "")[:TEXT_SHOWN] for text in table["text"].where(table["text"].notna(), None)]
    shown = table[["speaker", "start", "text", "label", "confidence"]].dropna(axis=1, how="all")
    lines = [shown.round(2).astype(object).fillna("").to_string()]
    for speaker, summary in dialogue.summary().items():
        shares = ", ".join(f"{label} {share:.2f}" for label, share in summary.shares.items())
        weighted = f", {summary.seconds:.0f} s" if summary.seconds is not None else ""
        lines += ["", f"{speaker} ({summary.turns} turns{weighted}): {shares}"]
        if summary.turning_point:
            point = summary.turning_point
            lines.append(f"  changes at turn {point.turn}: from {point.before} to {point.after}")
        lines.append(f"  strongest turns: {', '.join(map(str, summary.strongest))}")
    return "\n".join(lines)
