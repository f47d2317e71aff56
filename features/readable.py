"""Text as people type it to text as an encoder knows it: emoji and emoticons as words, no marks at the end.

Which words an emoji stands for was written for this project (`emoji.json`). `benchmarks/reading_texts.py` prints what
each step is worth on validation.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources

from emoembed.features.limits import TEXT_CHARACTERS

FEW_WORDS = 6
"""Words up to which emoji are read: they say what few words leave open. Beside more words they measured worse."""
VARIANTS = re.compile("[\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}\U0001f3fb-\U0001f3ff]")
"""Signs that choose an emoji's looks: in colour or not, and of which skin."""
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def readable(text: str) -> str:
    """A text as encoders read it.

    Full stops and exclamation marks at its end go, so that "We made it!" and "We made it" are the same. Where it has
    few words, emoji that carry emotion and emoticons become words. What lies beyond the first 20,000 characters goes
    before any of that: far less of a text is read.
    """
    text = text[:TEXT_CHARACTERS].encode("utf-8", "replace").decode("utf-8")  # half a character of UTF-16 is none
    plain = VARIANTS.sub("", text)
    pattern, words = emoji_words()
    bare = pattern.sub(" ", plain)
    if bare != plain and len(WORD.findall(bare)) <= FEW_WORDS:
        text = pattern.sub(lambda sign: f" {words[sign[0]]} ", plain)
    unmarked = text.rstrip().rstrip(".!")
    return unmarked or text


@cache
def emoji_words() -> tuple[re.Pattern[str], dict[str, str]]:
    """What finds emoji anywhere and emoticons between blanks, and the words of each."""
    known = json.loads(resources.files("emoembed.features").joinpath("emoji.json").read_text(encoding="utf-8"))
    emoji, emoticons = ("|".join(map(re.escape, sorted(known[kind], key=len, reverse=True))) for kind in known)
    return re.compile(rf"(?:{emoji})|(?<!\S)(?:{emoticons})(?!\S)"), {**known["emoji"], **known["emoticons"]}
