"""Emotion recognition for any emotion name, from text, speech and face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emoembed.errors import EmoembedError
    from emoembed.labels.emotion import Label
    from emoembed.model.model import EmotionModel
    from emoembed.prediction.public import load, predict
    from emoembed.prediction.recognizer import Recognizer
    from emoembed.prediction.result import Result
    from emoembed.reading.transcripts import read_transcript
    from emoembed.transfer.compare import compare_corpora
    from emoembed.transfer.manifest import transfer_corpora

__version__ = "0.1.0"
__all__ = [
    "EmoembedError",
    "EmotionModel",
    "Label",
    "Recognizer",
    "Result",
    "compare_corpora",
    "load",
    "predict",
    "read_transcript",
    "transfer_corpora",
]

_MODULES = {
    "EmoembedError": "emoembed.errors",
    "EmotionModel": "emoembed.model.model",
    "Label": "emoembed.labels.emotion",
    "Recognizer": "emoembed.prediction.recognizer",
    "Result": "emoembed.prediction.result",
    "compare_corpora": "emoembed.transfer.compare",
    "load": "emoembed.prediction.public",
    "predict": "emoembed.prediction.public",
    "read_transcript": "emoembed.reading.transcripts",
    "transfer_corpora": "emoembed.transfer.manifest",
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name, and torch with it, only when the name is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'emoembed' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
