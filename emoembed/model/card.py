"""The card that is saved with a model: that of the checkpoint it came from, and what was made of it since."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emoembed.model import checkpoint
from emoembed.model.model import EmotionModel

SECTIONS = ("Adapted", "Attuned")
"""Written here, after all else; written anew with every save."""


def card_of(model: EmotionModel, folder: Path | None) -> str:
    """The card of a model that came from a folder, or from none."""
    own = folder / checkpoint.CARD if folder else None
    text = own.read_bytes().decode("utf-8", "replace") if own and own.is_file() else _made_here(model)
    starts = [at for name in SECTIONS if (at := text.find(f"\n## {name}\n")) >= 0]
    parts = [text[: min(starts, default=len(text))].rstrip()]
    taught, attuned = model.state.taught, model.state.attuned
    if taught:
        shots = ", ".join(f"{label} ({_counted(counts)})" for label, counts in taught.items())
        parts.append(f"## {SECTIONS[0]}\n\nLabels moved by examples: {shots}.")
    if attuned:
        parts.append(f"## {SECTIONS[1]}\n\nTo items without labels: {_counted(attuned)}.")
    return "\n\n".join(parts) + "\n"


def _made_here(model: EmotionModel) -> str:
    """What is known of a model that has no card of its own."""
    known = model.state.provenance
    lines = ["# A model made with emoembed", ""]
    lines += [f"- {name}: trained on {', '.join(names)}" for name, names in known.get("trained_on", {}).items()]
    lines += [f"- Labels: {', '.join(model.state.labels)}"] if model.state.labels else []
    lines += [f"- Seed: {known['seed']}"] if "seed" in known else []
    return "\n".join([*lines, f"- Terms: {known.get('licence', 'not stated')}"])


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
