"""The errors emoembed raises; every one is also the built-in that fits, so both habits of catching work."""


class EmoembedError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(EmoembedError, ValueError):
    """An argument cannot be used: wrong shape, wrong length, NaN, nothing given."""


class LabelError(InputError):
    """A label is empty, repeated or has no vector."""


class MediaError(EmoembedError, ValueError):
    """A sound, image or video was read but holds nothing to work on (silence, no frames, no face)."""


class MissingFileError(EmoembedError, FileNotFoundError):
    """A path that was given does not exist."""


class CorpusError(EmoembedError, ValueError):
    """A corpus or manifest does not have the layout its reader expects."""


class CorpusFileError(CorpusError):
    """A file of a corpus is damaged, cut short, or asks for something that is not data."""


class CheckpointError(EmoembedError, ValueError):
    """A checkpoint is incomplete, altered, or of a version this release cannot read."""


class OutputError(EmoembedError, OSError):
    """An output cannot be written; what stood in its place stands as it was."""


class TrainingError(EmoembedError, RuntimeError):
    """Training cannot go on: its loss is no longer a number."""
