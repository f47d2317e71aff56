"""A note on the licence of a checkpoint's weights, once for each user of a machine."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress

from emoembed.model.model import EmotionModel
from emoembed.reading.cache import cache_folder

LOGGER = logging.getLogger("emoembed")


def tell_licence(model: EmotionModel, name: str) -> None:
    """Log a warning with the licence of a model's weights, if this user has not seen it.

    A file in the cache folder records that it was shown. Where the folder cannot be written, the note is shown again.
    """
    licence = model.state.provenance.get("licence")
    if not licence:
        return
    text = f"the weights of {name} are under this licence: {licence} (shown once)"
    shown = cache_folder() / f"licence-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if shown.exists():
        return
    LOGGER.warning("emoembed: %s", text)
    with suppress(OSError):
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(text, encoding="utf-8")
