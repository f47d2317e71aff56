"""`make demo`: predict on a sentence, a sound and a short video, alone and together, and print readable tables.

The sound is synthetic and the face is one photograph (see `make_demo_media.py`): this shows that every part works
together, not how accurate it is.
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
    for name, given in inputs.items():
        result = emoembed.predict(**given, labels=LABELS)
        weights = ", ".join(f"{one} {result.modalities[one].weight:.2f}" for one in result.modalities)
        print(f"\n{name}: {result.label}   (weights: {weights})")
        print(result.to_frame().round(3).to_string())


if __name__ == "__main__":
    main()
