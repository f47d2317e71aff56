"""A table that maps the native emotion names of each corpus to canonical names.

Canonical names are the nouns of GoEmotions (`sadness`, not `sad`) and further nouns of the same kind. `None` marks a
native name that means "no emotion of the corpus's list". `neutral` is a label like any other. The corpora
`event2mind`, `emobench_eu` and `situations` are not in the table: their labels are free text, or names of the label
table.
"""

from __future__ import annotations

from pathlib import Path

from emoembed.errors import CorpusError

GOEMOTIONS = (
    *("admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire"),
    *("disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy"),
    *("love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral"),
)

_EKMAN: dict[str, str | None] = {name: name for name in ("anger", "disgust", "fear", "joy", "sadness", "surprise")}

CANONICAL: dict[str, dict[str, str | None]] = {
    "goemotions": {name: name for name in GOEMOTIONS},
    "dair_emotion": {name: name for name in ("sadness", "joy", "love", "anger", "fear", "surprise")},
    "emocontext": {"happy": "joy", "sad": "sadness", "angry": "anger", "others": None},
    "meld": {name: name for name in ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")},
    "emorynlp": {
        "Neutral": "neutral",
        "Joyful": "joy",
        "Scared": "fear",
        "Mad": "anger",
        "Peaceful": "peacefulness",
        "Powerful": "power",
        "Sad": "sadness",
    },
    "semeval2018": {
        **{name: name for name in ("anger", "anticipation", "disgust", "fear", "joy", "love", "optimism")},
        **{name: name for name in ("pessimism", "sadness", "surprise", "trust")},
        "none": None,
    },
    "dailydialog": {
        "neutral": "neutral",
        "no emotion": "neutral",
        "happiness": "joy",
        **{name: name for name in ("surprise", "sadness", "anger", "disgust", "fear")},
    },
    "iemocap_text": {
        "neutral": "neutral",
        "frustrated": "frustration",
        "angry": "anger",
        "sad": "sadness",
        "excited": "excitement",
        "happy": "joy",
    },
    "mosei": {
        "happy": "joy",
        "sad": "sadness",
        **{name: name for name in ("anger", "surprise", "disgust", "fear")},
    },
    # the three-letter codes of the release, and the spellings of derived files; xxx: the annotators did not agree
    "iemocap": {
        **dict.fromkeys(("neu", "neutral"), "neutral"),
        **dict.fromkeys(("hap", "happy"), "joy"),
        **dict.fromkeys(("sad",), "sadness"),
        **dict.fromkeys(("ang", "angry", "anger"), "anger"),
        **dict.fromkeys(("exc", "excited"), "excitement"),
        **dict.fromkeys(("fru", "frustrated"), "frustration"),
        **dict.fromkeys(("sur", "surprised"), "surprise"),
        **dict.fromkeys(("fea", "fear"), "fear"),
        **dict.fromkeys(("dis", "disgust"), "disgust"),
        "oth": None,
        "xxx": None,
    },
    "ravdess": {
        "neutral": "neutral",
        "calm": "calm",
        "happy": "joy",
        "sad": "sadness",
        "angry": "anger",
        "fearful": "fear",
        "disgust": "disgust",
        "surprised": "surprise",
    },
    "tess": {
        "angry": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "joy",
        "ps": "surprise",
        "sad": "sadness",
        "neutral": "neutral",
    },
    # the letters in the file names, from the German words (Wut, Langeweile, Ekel, Angst, Freude, Trauer)
    "emodb": {
        "W": "anger",
        "L": "boredom",
        "E": "disgust",
        "A": "fear",
        "F": "joy",
        "T": "sadness",
        "N": "neutral",
    },
    # the first letters of the Italian words (disgusto, gioia, neutro, paura, rabbia, sorpresa, tristezza)
    "emovo": {
        "dis": "disgust",
        "gio": "joy",
        "neu": "neutral",
        "pau": "fear",
        "rab": "anger",
        "sor": "surprise",
        "tri": "sadness",
    },
    "fer2013": {
        "angry": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "joy",
        "sad": "sadness",
        "surprise": "surprise",
        "neutral": "neutral",
    },
    "ferplus": {
        **{name: name for name in ("neutral", "surprise", "anger", "disgust", "fear", "contempt")},
        "happiness": "joy",
        "sadness": "sadness",
        "unknown": None,
        "NF": None,
    },
    "brighter_eng": {name: name for name in ("anger", "fear", "joy", "sadness", "surprise", "neutral")},
    "covidet": {name: name for name in ("anger", "anticipation", "disgust", "fear", "joy", "sadness", "trust")},
    "eltea17": _EKMAN,
    "emoevent_en": {**_EKMAN, "others": None},
    "emolit_gold": {
        **{name: name for name in GOEMOTIONS if name not in ("confusion", "realization", "remorse")},
        **{name: name for name in ("boredom", "courage", "despair", "doubt", "envy", "faith", "frustration", "greed")},
        **{name: name for name in ("guilt", "indifference", "nostalgia", "pain", "trust")},
        "calmness": "calm",
    },
    "emotionpush": {**_EKMAN, "neutral": "neutral", "non-neutral": None},
    "enisear": {name: name for name in ("anger", "disgust", "fear", "guilt", "joy", "sadness", "shame")},
    "goodnewseveryone": {
        **{name: name for name in ("anger", "annoyance", "disgust", "fear", "guilt", "joy", "pride", "sadness")},
        **{name: name for name in ("shame", "trust")},
        "love_including_like": "love",
        "negative_anticipation_including_pessimism": "pessimism",
        "negative_surprise": "negative surprise",
        "positive_anticipation_including_optimism": "optimism",
        "positive_surprise": "positive surprise",
    },
    "plutchik_wheel": {
        **{name: name for name in ("aggression", "anger", "anticipation", "awe", "contempt", "disapproval", "disgust")},
        **{name: name for name in ("fear", "joy", "love", "neutral", "optimism", "remorse", "sadness", "surprise")},
        "trust": "trust",
        "submission": "surrender",
        "ambiguous": None,
    },
    "po_emo_en": {
        "Annoyance": "annoyance",
        "Awe / Sublime": "awe",
        "Beauty / Joy": "joy",
        "Humor": "humor",
        "Nostalgia": "nostalgia",
        "Sadness": "sadness",
        "Suspense": "suspense",
        "Uneasiness": "uneasiness",
        "Vitality": "vitality",
    },
    "stockemotions": {
        **{name: name for name in ("amusement", "anger", "anxiety", "belief", "confusion", "depression", "disgust")},
        **{name: name for name in ("excitement", "optimism", "panic", "surprise")},
        "ambiguous": None,
    },
    "tec": _EKMAN,
    "wassa_essays": {**_EKMAN, "neutral": "neutral"},
    "xed": {
        **_EKMAN,
        **{name: name for name in ("anticipation", "trust", "neutral")},
    },
    "emobank": {},  # has ratings, no emotion names
}


def corpus_labels(corpus: str) -> tuple[str, ...]:
    """Return the canonical names that a corpus annotates, in a fixed order."""
    return tuple(dict.fromkeys(name for name in CANONICAL[corpus].values() if name is not None))


def to_labels(corpus: str, native: str, where: str | Path) -> tuple[str, ...]:
    """Convert a native name into a row's `labels`: one canonical name, or (). The error message starts with `where`."""
    native_names = CANONICAL[corpus]
    if native not in native_names:
        raise CorpusError(
            f"{where}: {native!r} is not an emotion of {corpus}; its emotions are {', '.join(native_names)}"
        )
    name = native_names[native]
    return () if name is None else (name,)
