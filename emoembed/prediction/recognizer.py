"""`predict`: from raw text, sound and video to the scores of any emotion names."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from emoembed.cache import Cache
from emoembed.errors import EmoembedError, InputError, LabelError
from emoembed.labels.emotion import Labels, canonical, find, resolve
from emoembed.model import checkpoint
from emoembed.model.card import card_of
from emoembed.model.device import check_device
from emoembed.model.model import EmotionModel
from emoembed.prediction import process
from emoembed.prediction.answer import LabelSet, answer
from emoembed.prediction.arguments import PredictOptions, check_errors, items_of, listed, options_of, risk_of
from emoembed.prediction.label_notes import notes_of
from emoembed.prediction.result import Result
from emoembed.prediction.support import support_points, support_rows, taught_labels
from emoembed.reading.items import Item, batch_of, read_item, read_what_can_be
from emoembed.transfer import attune as own_items
from emoembed.transfer import few_shot

if TYPE_CHECKING:
    import pandas as pd

    from emoembed.prediction.arguments import Many, One

BATCH_SIZE = 32
LABEL_SETS = 64
"""Lists of labels whose points a recognizer keeps."""


class Recognizer(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="emoembed",
    tags=["emotion-recognition", "zero-shot-classification"],
):
    """A model with everything around it: raw media in, named scores out. What `load` returns."""

    def __init__(self, model: EmotionModel, folder: Path | None = None) -> None:
        super().__init__()
        self.model = model
        self.folder = folder
        self._label_sets: tuple[Any, Cache[tuple[Any, ...], LabelSet]] = ((), Cache(LABEL_SETS))

    @classmethod
    def from_pretrained(cls, name: str | Path = "base", **_: Any) -> Recognizer:  # type: ignore[override]
        """Load a checkpoint that ships, a folder, or a hub id; strictly, from safetensors, checksums verified."""
        folder = checkpoint.find_folder(name)
        return cls(checkpoint.load(folder), folder)

    def save_pretrained(
        self, save_directory: str | Path, *, repo_id: str | None = None, push_to_hub: bool = False, **settings: Any
    ) -> str | None:
        """Save as a checkpoint that `load` reads; one that stands there is replaced whole, or stays as it was.

        Args:
            save_directory: a folder of its own.
            repo_id: where it goes on the hub, by default the folder's name.
            push_to_hub: whether it goes there; what the upload was called comes back.
            settings: of the upload, as `push_to_hub` takes them.

        Raises:
            CheckpointError: the folder holds other files.
            OutputError: it cannot be written.
        """
        licence = self.folder / checkpoint.LICENSE if self.folder else None
        terms = licence.read_bytes().decode("utf-8", "replace") if licence and licence.is_file() else ""
        checkpoint.save(self.model, save_directory, card=card_of(self.model, self.folder), license_text=terms)
        if not push_to_hub:
            return None
        upload = {key: value for key, value in settings.items() if key not in ("config", "model_card_kwargs")}
        return str(self.push_to_hub(repo_id or Path(save_directory).name, **upload))

    @property
    def labels(self) -> tuple[str, ...]:
        """What is scored when the caller names no labels."""
        return self.model.state.labels

    @overload
    def predict(
        self,
        text: str | None = None,
        audio: One = None,
        video: One = None,
        labels: Labels | None = None,
        **options: Unpack[PredictOptions],
    ) -> Result: ...
    @overload
    def predict(
        self,
        text: Many = None,
        audio: Many = None,
        video: Many = None,
        labels: Labels | None = None,
        **options: Unpack[PredictOptions],
    ) -> list[Result]: ...
    @torch.inference_mode()
    def predict(
        self,
        text: Any = None,
        audio: Any = None,
        video: Any = None,
        labels: Labels | None = None,
        **options: Unpack[PredictOptions],
    ) -> Result | list[Result]:
        """Score labels for one item, or for a list of items; see `emoembed.predict`."""
        process.require_no_fork()
        multi_label, abstain, errors = options_of(options)
        items, single = items_of({"text": text, "audio": audio, "video": video})
        given = [name for name in self.model.modalities if any(item.get(name) is not None for item in items)]
        risk = self.risk(abstain, given)
        asked = self._label_set(labels)
        results: list[Result] = []
        for start in range(0, len(items), BATCH_SIZE):
            read = [
                self._read(item, i, single) if errors == "raise" else read_what_can_be(self.model, item)
                for i, item in enumerate(items[start : start + BATCH_SIZE], start)
            ]
            usable = [item for item in read if item.readings]
            points = self.model.encode(batch_of(self.model, [item.readings for item in usable]))
            answers = iter(answer(self.model, points, usable, asked, multi_label=multi_label, risk=risk))
            unusable = (Result(None, {}, {}, dict(item.absent), multi_label) for item in read if not item.readings)
            results += [next(answers if item.readings else unusable) for item in read]
        return results[0] if single else results

    def risk(self, abstain: bool | float, modalities: Sequence[str]) -> float | None:
        """The share of wrong answers that `abstain` allows, None where everything is answered.

        Raises:
            InputError: it is no such share, or one of the modalities was never calibrated.
        """
        risk = risk_of(abstain)
        unfit = [name for name in modalities if not bool(self.model.modality(name).calibration.thresholds.any())]
        if risk is not None and unfit:
            raise InputError(
                f"this model cannot abstain: its {', '.join(unfit)} was never calibrated on validation rows"
            )
        return risk

    @torch.inference_mode()
    def encode(self, text: Any = None, audio: Any = None, video: Any = None) -> dict[str, np.ndarray]:
        """Each modality's points, `(embed_dim,)` of length one; `(items, embed_dim)` for lists, NaN where absent."""
        process.require_no_fork()
        items, single = items_of({"text": text, "audio": audio, "video": video})
        batches = [range(i, min(i + BATCH_SIZE, len(items))) for i in range(0, len(items), BATCH_SIZE)]
        parts = [
            self.model.encode(batch_of(self.model, [self._read(items[i], i, single).readings for i in batch]))
            for batch in batches
        ]
        found = {}
        for name, modality in self.model.config.modalities.items():
            if any(name in part for part in parts):
                lacking = torch.full((BATCH_SIZE, modality.embed_dim), torch.nan)
                rows = [part.get(name, lacking[: len(at)]) for part, at in zip(parts, batches, strict=True)]
                matrix = torch.cat([one[:, : modality.embed_dim].float().cpu() for one in rows]).numpy()
                found[name] = matrix[0] if single else matrix
        return found

    def adapt(
        self,
        support: Iterable[Mapping[str, Any]] | pd.DataFrame,
        labels: Labels | None = None,
        *,
        steps: int = 0,
        max_harm: float = few_shot.MAX_HARM,
        errors: str = "raise",
    ) -> Recognizer:
        """A new recognizer whose labels stand nearer to a few examples; this one stays as it is.

        Args:
            support: rows with a `label` (a name, or a list of them where a row bears several) and any of `text`,
                `audio`, `video`: dictionaries or a table.
            labels: names, or name to description, of the labels being taught; those of the support by default. A
                description goes into the label's starting vector, is kept, and holds in every modality when the label
                is named later on.
            steps: gradient steps of a light fine-tune of the new labels' vectors; 0 leaves it out.
            max_harm: the largest share of items of other labels that the fine-tune may win over for the new ones.
            errors: "raise" ends the call at the first row that cannot be used; "skip" leaves such rows out, with a
                warning.

        Raises:
            InputError: no support, a row without a label, or a label that `labels` does not name.
        """
        process.require_no_fork()
        check_errors(errors)
        if not isinstance(steps, Integral) or steps < 0:
            raise InputError(f"steps is a whole number of at least 0; given {steps!r:.40}")
        if not isinstance(max_harm, Real) or not 0 <= max_harm <= 1:
            raise InputError(f"max_harm is a share of items, 0 to 1; given {max_harm!r:.40}")
        rows = support_rows(support)
        taught = taught_labels(self.model, rows, labels)
        with torch.inference_mode():
            points, skipped = support_points(self.model, rows, errors)
            words = self.model.project(self.model.embed(list(taught.values())))
            rivals = [label for label in self.model.state.known if canonical(label) not in points]
            others = self.model.label_points(rivals) if rivals else {}
        _warn_of_skipped("rows of the support", skipped, len(rows))
        names = [canonical(name) for name in taught]
        starts = {label: {name: matrix[names.index(label)] for name, matrix in words.items()} for label in points}
        adapted = few_shot.adapt(
            self.model,
            {label: _outside_inference(each) for label, each in points.items()},
            {label: _outside_inference(each) for label, each in starts.items()},
            steps=steps,
            max_harm=max_harm,
            others=_outside_inference(others),
        )
        described = {name: label for name, label in taught.items() if label != find(name)}
        return Recognizer(adapted.with_state(adapted.state.with_described(described)), self.folder)

    def attune(self, audio: Any = None, video: Any = None, *, errors: str = "raise") -> Recognizer:
        """A new recognizer at home among recordings or faces of your own, which nobody has labelled.

        Thirty of one microphone, room or speaker, of whatever emotions, take off what all of them share. Attune
        first, then `adapt`. `transfer.attune` says how and why, and why not for texts.

        Args:
            audio: a list of what `predict` takes as sound.
            video: a list of what `predict` takes as a face.
            errors: "raise" ends the call at the first item that cannot be used; "skip" leaves such items out, with a
                warning.

        Raises:
            InputError: nothing given, or a modality this model does not read.
            MediaError, MissingFileError: an item that cannot be used.
        """
        process.require_no_fork()
        check_errors(errors)
        given = {"audio": audio, "video": video}
        for name, items in given.items():
            if items is None:
                continue
            if not isinstance(items, list | tuple):
                raise InputError(f"attuning takes a list of {name}, each an item; given {items!r:.80}")
            nothing = [i for i, one in enumerate(items) if one is None]
            if nothing:
                raise InputError(f"{name} {nothing[0]} to attune to is None")
        rows = [{name: one} for name, items in given.items() for one in items or ()]
        skipped: list[str] = []

        def batches() -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
            for i, row in enumerate(rows):
                try:
                    yield batch_of(self.model, [self._read(row, i, False).readings])
                except EmoembedError as error:
                    if errors == "raise":
                        raise
                    skipped.append(str(error))

        try:
            attuned = own_items.attune(self.model, batches())
        except InputError as error:
            if skipped:
                raise InputError(f"{error}; {skipped[0]}") from error
            raise
        _warn_of_skipped("items", skipped, len(rows))
        return Recognizer(attuned, self.folder)

    def _label_set(self, labels: Labels | None) -> LabelSet:
        """Labels of a call, kept for the next one with the same, as long as the model stays as it is."""
        if labels is None and not self.labels:
            raise LabelError("this checkpoint names no default labels; give labels=['joy', 'anger']")
        wanted = self.labels if labels is None else listed(labels)
        plain = not isinstance(wanted, Mapping) and all(isinstance(label, str) for label in wanted)
        key = tuple(wanted) if plain else tuple(resolve(wanted).items())
        state = self.model.versions()
        if state != self._label_sets[0]:
            self._label_sets = (state, Cache(LABEL_SETS))
        cache = self._label_sets[1]
        known = cache.get(key)
        if known is None:
            points = self.model.label_points(wanted)
            meant = self.model.meant(wanted)
            notes = notes_of(self.model, meant, points)
            known = cache.put(key, LabelSet(tuple(meant), points, self.model.label_trust(points), notes))
        return known

    def _read(self, item: Mapping[str, Any], position: int, single: bool) -> Item:
        return read_item(self.model, item, "" if single else f"item {position}: ")


def _outside_inference(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that gradients may pass through."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _warn_of_skipped(what: str, skipped: Sequence[str], total: int) -> None:
    if skipped:
        said = f"{len(skipped)} of {total} {what} could not be used and were left out, such as: {skipped[0]}"
        warnings.warn(said, stacklevel=3)


@overload
def predict(
    text: str | None = None,
    audio: One = None,
    video: One = None,
    labels: Labels | None = None,
    *,
    model: str | Path = "base",
    device: str | None = None,
    **options: Unpack[PredictOptions],
) -> Result: ...
@overload
def predict(
    text: Many = None,
    audio: Many = None,
    video: Many = None,
    labels: Labels | None = None,
    *,
    model: str | Path = "base",
    device: str | None = None,
    **options: Unpack[PredictOptions],
) -> list[Result]: ...
def predict(
    text: Any = None,
    audio: Any = None,
    video: Any = None,
    labels: Labels | None = None,
    *,
    model: str | Path = "base",
    device: str | None = None,
    **options: Unpack[PredictOptions],
) -> Result | list[Result]:
    """Score any emotion names for a sentence, a recording and a face, alone or together.

    Args:
        text: a string, or a list of them. A column of a table is a list as well.
        audio: a sound file or a video with a sound track (path, bytes or open file), `(samples, sampling_rate)`, or a
            dictionary such as `{"array": ..., "sampling_rate": 16000}`; or a list of these.
        video: a video or image (path, bytes or open file), an array `(time, height, width, 3)` RGB, a Pillow picture,
            a torch tensor, or a dictionary such as `{"image": ..., "face": True}`, which says that the picture is the
            face itself; or a list of these. A list within the list is the frames of one video.
        labels: names or `Label` objects, or a dictionary of name to description (a definition, or a dictionary with
            any of definition, synonyms, sounds, looks, valence, arousal, dominance); the checkpoint's own list by
            default.
        model: a checkpoint that ships, a folder, or a hub id.
        multi_label: give every label a probability of its own instead of shares of one.
        abstain: answer "none of these" (`label` None, `abstained` true) where confidence is too low: True where more
            than a fifth of the answers given would be wrong, a number in 0.05..0.5 for another share. The thresholds
            are those of validation rows of seen labels, asked with lists of labels that may lack the right one.
        errors: "raise" ends the call at the first thing given that cannot be used; "skip" goes by what of an item
            can be, answers an item of which nothing can with no label and no scores, and says why in `absent`.
        device: where to compute, such as "cuda"; the CPU by default.

    Returns:
        A `Result`; for lists, a list of them. In a list, None or NaN means that this item lacks the modality. Its
        `notes` say what was cut, not understood or not seen.

    Raises:
        LabelError: no labels, an empty one, or one emotion twice.
        InputError: nothing given, lists of different lengths, NaN, or an argument of the wrong type.
        MissingFileError: a path that is not there, unless `errors` is "skip".
        MediaError: the only media given holds nothing to work on.
    """
    answered: Result | list[Result] = _kept(model, device).predict(text, audio, video, labels, **options)
    return answered


def load(name: str | Path = "base", *, device: str | None = None) -> Recognizer:
    """The recognizer of a checkpoint: the caller's own, so that changes to it are seen nowhere else.

    What was read is kept for the next call, until the checkpoint is replaced.
    """
    kept = _kept(name, device)
    return Recognizer(deepcopy(kept.model), kept.folder)


def _kept(name: str | Path, device: str | None) -> Recognizer:
    """The recognizer that `predict` uses: read once for each state of a checkpoint, and changed by nobody."""
    folder = checkpoint.find_folder(name)
    where = "cpu" if device is None else device
    check_device(where)
    return _load(str(folder.resolve()), where, checkpoint.digest(folder))


@lru_cache(maxsize=4)
def _load(folder: str, device: str, _state: str) -> Recognizer:
    recognizer = Recognizer.from_pretrained(folder)
    recognizer.model.to(device)
    return recognizer
