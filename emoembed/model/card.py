"""The model card saved with a model: the card of its original checkpoint, and its adaptations since."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emoembed.model import checkpoint_files
from emoembed.model.model import EmotionModel

SECTIONS = ("Adapted", "Attuned")
"""Last sections of the card. Every save rewrites them."""


def card_of(model: EmotionModel, folder: Path | None) -> str:
    """The card of a model that was loaded from a folder, or of a new model (None)."""
    path = folder / checkpoint_files.CARD if folder else None
    text = path.read_bytes().decode("utf-8", "replace") if path and path.is_file() else _write_new_card(model)
    starts = [start for name in SECTIONS if (start := text.find(f"\n## {name}\n")) >= 0]
    parts = [text[: min(starts, default=len(text))].rstrip()]
    taught, attuned = model.state.taught, model.state.attuned
    if taught:
        shots = ", ".join(f"{label} ({_format_counts(counts)})" for label, counts in taught.items())
        parts.append(f"## {SECTIONS[0]}\n\nLabels adapted with examples: {shots}.")
    if attuned:
        parts.append(f"## {SECTIONS[1]}\n\nWith unlabelled items: {_format_counts(attuned)}.")
    return "\n\n".join(parts) + "\n"


def _write_new_card(model: EmotionModel) -> str:
    """A card from the provenance of a model that has no card yet."""
    provenance = model.state.provenance
    lines = ["# A model made with emoembed", ""]
    lines += [f"- {name}: trained on {', '.join(names)}" for name, names in provenance.get("trained_on", {}).items()]
    lines += [f"- Labels: {', '.join(model.state.labels)}"] if model.state.labels else []
    lines += [f"- Seed: {provenance['seed']}"] if "seed" in provenance else []
    return "\n".join([*lines, f"- Terms: {provenance.get('licence', 'not stated')}"])


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
