"""`make demo`: predict from a sentence, a sound and a short video, alone and together, and print tables.

The sound is synthetic and the video shows one photograph (see `make_demo_media.py`). The demo shows that all parts work
together; it does not show how accurate they are.
"""

from __future__ import annotations

from pathlib import Path

from make_demo_media import make_demo_media

import emoembed

TEXT = "I can't believe you kept that ticket."
LABELS = ["joy", "anger", "sadness", "surprise", "nostalgia", "awe"]


def main() -> None:
    """Make the media, predict four times, print."""
    voice, face = make_demo_media(Path("demo-media"))
    inputs = {
        "text": {"text": TEXT},
        "audio": {"audio": voice},
        "video": {"video": face},
        "all three": {"text": TEXT, "audio": voice, "video": face},
    }
    for name, media in inputs.items():
        result = emoembed.predict(**media, labels=LABELS)
        weights = ", ".join(f"{modality} {part.weight:.2f}" for modality, part in result.modalities.items())
        print(f"\n{name}: {result.label}   (weights: {weights})")
        print(result.to_frame().round(3).to_string())


if __name__ == "__main__":
    main()
