"""The errors that emoembed raises. Each is also a subclass of a built-in error, so you can catch either.

Examples:
    >>> import emoembed
    >>> emoembed.predict("We won!", labels=["joy", "happiness"])
    Traceback (most recent call last):
    emoembed.errors.LabelError: labels 'joy' and 'happiness' are the same emotion; give each emotion once
    >>> try:
    ...     emoembed.predict(audio="missing.wav", labels=["joy", "anger"])
    ... except FileNotFoundError as error:  # MissingFileError is a subclass of it
    ...     print(error)
    no sound file at missing.wav
"""


class EmoembedError(Exception):
    """Base class of every error that this package raises on purpose."""


class InputError(EmoembedError, ValueError):
    """An argument is invalid: wrong shape, wrong length, NaN, or empty."""


class LabelError(InputError):
    """A label is empty, repeated or has no vector."""


class MediaError(EmoembedError, ValueError):
    """A sound, image or video could be read but has no usable content (silence, no frames, no face)."""


class MissingFileError(EmoembedError, FileNotFoundError):
    """A given path does not exist."""


class CorpusError(EmoembedError, ValueError):
    """A corpus or manifest does not have the layout that its reader expects."""


class CorpusFileError(CorpusError):
    """A corpus file is damaged, truncated, or contains something other than data."""


class CheckpointError(EmoembedError, ValueError):
    """A checkpoint is incomplete, was changed, or has a version that this release cannot read."""


class OutputError(EmoembedError, OSError):
    """An output cannot be written. Existing output is left unchanged."""


class TrainingError(EmoembedError, RuntimeError):
    """Training has diverged: it produced NaN or infinite values."""
