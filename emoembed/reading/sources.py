"""The rows of a manifest as inputs of `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features import addresses, audio, media_files
from emoembed.model.config import MODALITIES
from emoembed.model.model import EmotionModel
from emoembed.reading import cache
from emoembed.reading.cache import Span

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus

Source = str | Span | None
"""A row's source for one modality: a text, or a part of a media file."""
Sources = dict[str, Source]
"""A row's sources by modality."""


def as_corpus(
    source: Corpus | str | Path, *, annotated: bool = True, columns: Mapping[str, str] | None = None
) -> Corpus:
    """The corpus itself, or the manifest at this path; its columns `labels` and `split` are read if `annotated`."""
    if not isinstance(source, str | Path):
        return source
    from emoembed.corpora import manifest

    return manifest.read(source, annotated=annotated, columns=columns)


def present_modalities(corpus: Corpus) -> tuple[str, ...]:
    """The modalities that at least one row has."""
    return tuple(name for name in MODALITIES if corpus.samples[name].notna().any())


def usable_modalities(model: EmotionModel, corpus: Corpus, offered: Sequence[str]) -> tuple[str, ...]:
    """The offered modalities that the model reads. Raises InputError if there are none."""
    usable = tuple(name for name in offered if name in model.modalities)
    if not usable:
        if corpus.samples.empty:
            raise InputError(f"{corpus.name} has no rows")
        offered_names, model_names = ", ".join(offered) or "no text, audio or video", ", ".join(model.modalities)
        raise InputError(f"{corpus.name} has {offered_names}; this model reads {model_names}")
    return usable


class RowSources(Sequence[tuple[str, Sources]]):
    """Row ids with their sources. The sources of a row are made when it is read, so many rows need little memory.

    Args:
        ids: the id of each row.
        columns: modality -> the source of each row; None if the row lacks the modality.
    """

    def __init__(self, ids: Sequence[str], columns: Mapping[str, Sequence[Source]]) -> None:
        self._ids, self._columns = ids, columns

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, position: int) -> tuple[str, Sources]: ...
    @overload
    def __getitem__(self, position: slice) -> list[tuple[str, Sources]]: ...
    def __getitem__(self, position: int | slice) -> tuple[str, Sources] | list[tuple[str, Sources]]:
        """The row at a position, or the rows of a range."""
        if isinstance(position, slice):
            return [self[one] for one in range(*position.indices(len(self)))]
        return self._ids[position], {name: column[position] for name, column in self._columns.items()}


def sources_of(corpus: Corpus, usable: Sequence[str]) -> RowSources:
    """The id of each row with its source for each usable modality; None if the row lacks the modality."""
    ids = list(corpus.samples["id"])
    columns: dict[str, Sequence[Source]] = {}
    for name in usable:
        if name == "text":
            columns[name] = list(corpus.samples["text"])
        else:
            spans = dict(cache.spans(corpus, name))
            columns[name] = [spans.get(item) for item in ids]
    return RowSources(ids, columns)


def read_row(sources: Mapping[str, Source]) -> tuple[dict[str, Any], dict[str, str]]:
    """The inputs of `predict` for a row (None if missing or unreadable), and the errors of unreadable sources."""
    inputs: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, source in sources.items():
        try:
            inputs[name] = input_of(name, source)
        except (MediaError, MissingFileError, InputError) as error:
            inputs[name], errors[name] = None, str(error)
    return inputs, errors


def input_of(modality: str, source: Source) -> Any:
    """A text or the path of a whole file, unchanged, for `predict` to read; a part of a file is extracted here.

    A file at an address is fetched here.
    """
    if source is None or isinstance(source, str):
        return source
    path, start, end, side = source
    if not addresses.is_address(path):
        media_files.require_file(path, modality)
    if start is None and end is None and side is None:
        return addresses.fetched(path, modality)
    if modality == "audio":
        return audio.waveform(addresses.fetched(path, modality), start=start, end=end, limit=cache.LOOKED_AT)
    return cache.read_span(modality, source)
