"""Normalise typed text for an encoder: emoji become words, final full stops and exclamation marks are removed.

The words for each emoji were written for this project (`emoji.json`). `benchmarks/reading_texts.py` prints the effect
of each step on the validation data.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources

from emoembed.features.limits import TEXT_CHARACTERS

FEW_WORDS = 6
"""Emoji are read only in texts with at most this many words. In longer texts, reading them gave worse results."""
VARIANTS = re.compile("[\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}\U0001f3fb-\U0001f3ff]")
"""Characters that choose the variant of an emoji: colour or black and white, and skin tone."""
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def readable(text: str) -> str:
    """Normalise a text for an encoder.

    First, the text is cut to 20,000 characters; encoders read far less. If it has few words, emoticons and emoji that
    express emotion become words. Full stops and exclamation marks at the end are removed, so that "We made it!" and
    "We made it" are the same.
    """
    text = text[:TEXT_CHARACTERS].encode("utf-8", "replace").decode("utf-8")  # replaces unpaired UTF-16 surrogates
    base_text = VARIANTS.sub("", text)
    pattern, words = emoji_words()
    words_only = pattern.sub(" ", base_text)
    if words_only != base_text and len(WORD.findall(words_only)) <= FEW_WORDS:
        text = pattern.sub(lambda sign: f" {words[sign[0]]} ", base_text)
    stripped_text = text.rstrip().rstrip(".!")
    return stripped_text or text


@cache
def emoji_words() -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern that matches emoji anywhere and emoticons between spaces; and a table from each to its words."""
    table = json.loads(resources.files("emoembed.features").joinpath("emoji.json").read_text(encoding="utf-8"))
    emoji, emoticons = ("|".join(map(re.escape, sorted(table[kind], key=len, reverse=True))) for kind in table)
    return re.compile(rf"(?:{emoji})|(?<!\S)(?:{emoticons})(?!\S)"), {**table["emoji"], **table["emoticons"]}
