"""The recognizer: it scores any emotion names for raw text, sound and video, and learns from examples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import numpy as np
import torch
from torch import nn

from emoembed.errors import InputError
from emoembed.labels.emotion import Labels
from emoembed.model import checkpoint, checkpoint_files
from emoembed.model.card import card_of
from emoembed.model.model import EmotionModel
from emoembed.prediction import learning
from emoembed.prediction.answer import answer_items
from emoembed.prediction.arguments import (
    BATCH_SIZE,
    Options,
    PredictOptions,
    TimelineOptions,
    batches_of,
    items_of,
    labels_of,
    options_of,
    risk_of,
    timeline_options_of,
)
from emoembed.prediction.batch_sizes import ahead, fitting
from emoembed.prediction.dialogue.live import Dialogue
from emoembed.prediction.dialogue.result import DialogueResult
from emoembed.prediction.label_sets import LabelSets
from emoembed.prediction.result import Result
from emoembed.prediction.result_list import Results
from emoembed.prediction.timeline.cutting import Cutter, cutter_of
from emoembed.prediction.timeline.recording import answer_recording, open_recording
from emoembed.prediction.timeline.result import Timeline
from emoembed.prediction.timeline.stream import Settings, Stream
from emoembed.reading.items import Item, batch_of, read_item, read_what_can_be
from emoembed.reading.turns import Turn, turns_of

if TYPE_CHECKING:
    import pandas as pd

    from emoembed.prediction.arguments import ItemList, MediaInput


class Recognizer(nn.Module):
    """A model with its preprocessing: raw media in, scores by label name out. `load` returns one."""

    def __init__(self, model: EmotionModel, folder: Path | None = None) -> None:
        super().__init__()
        self.model = model
        self.folder = folder
        self._label_sets = LabelSets(model)

    @classmethod
    def from_pretrained(cls, name: str | Path = "base") -> Recognizer:
        """Load a checkpoint (one that ships, a folder, or a hub id) strictly from safetensors; verify its checksums."""
        folder = checkpoint_files.find_folder(name)
        return cls(checkpoint.load(folder), folder)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Save a checkpoint that `load` can read. An existing checkpoint is replaced completely or not at all.

        Args:
            save_directory: a folder for this checkpoint only.

        Raises:
            CheckpointError: the folder holds other files.
            OutputError: the checkpoint cannot be written.

        Examples:
            >>> from tempfile import mkdtemp
            >>> import emoembed
            >>> model, folder = emoembed.load("base"), mkdtemp()
            >>> model.save_pretrained(folder)
            >>> emoembed.load(folder).labels == model.labels
            True
        """
        licence = self.folder / checkpoint_files.LICENSE if self.folder else None
        license_text = licence.read_bytes().decode("utf-8", "replace") if licence and licence.is_file() else ""
        checkpoint.save(self.model, save_directory, card=card_of(self.model, self.folder), license_text=license_text)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None) -> str:
        """Upload the checkpoint to a repository of the Hugging Face hub, which is created if it does not exist.

        Args:
            repo_id: name of the repository, such as "user/name".
            private: whether a new repository is private; by default as the account has it.
            token: access token of the account; by default the stored token.

        Returns:
            The address of the commit.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        repository = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "model")
            message = "Upload an emoembed model"
            return str(
                api.upload_folder(repo_id=repository, folder_path=Path(folder) / "model", commit_message=message)
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The default labels of `predict`."""
        return self.model.state.labels

    @overload
    def predict(
        self,
        text: str | None = None,
        audio: MediaInput = None,
        video: MediaInput = None,
        labels: Labels | None = None,
        **options: Unpack[PredictOptions],
    ) -> Result: ...
    @overload
    def predict(
        self,
        text: ItemList = None,
        audio: ItemList = None,
        video: ItemList = None,
        labels: Labels | None = None,
        **options: Unpack[PredictOptions],
    ) -> Results: ...
    @torch.inference_mode()
    def predict(
        self,
        text: Any = None,
        audio: Any = None,
        video: Any = None,
        labels: Labels | None = None,
        **options: Unpack[PredictOptions],
    ) -> Result | Results:
        """Score labels for one item or a list of items; see `emoembed.predict`.

        Examples:
            >>> import emoembed
            >>> model, texts = emoembed.load("base"), ["I am so happy today!", "The bus leaves at nine."]
            >>> [result.label for result in model.predict(texts, labels=["joy", "anger"], abstain=True)]
            ['joy', None]
        """
        checked = options_of(options)
        multi_label, size = checked.multi_label, checked.batch_size
        items, single = items_of({"text": text, "audio": audio, "video": video})
        given_modalities = [name for name in self.model.modalities if any(item.get(name) is not None for item in items)]
        risk = self.risk(checked.abstain, given_modalities)
        label_set = self._label_sets.of(labels_of(labels, checked))
        results: dict[int, Result] = {}
        batches = batches_of(items, size)
        skip = checked.errors == "skip"
        reads = (partial(self._read_batch, {i: items[i] for i in batch}, single, skip) for batch in batches)
        for batch, read_items in zip(batches, ahead(reads, self.model.space.centre.device), strict=True):
            parts = (
                answer_items(self.model, part, label_set, multi_label=multi_label, risk=risk)
                for part in fitting(self.model, read_items)
            )
            results.update(zip(batch, chain.from_iterable(parts), strict=True))
        return results[0] if single else Results(results[i] for i in range(len(items)))

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Same as `predict`."""
        return self.predict(*args, **options)

    def __repr__(self) -> str:
        """A short description: modalities, default labels, and what the model was attuned to and taught."""
        state = self.model.state
        millions = sum(parameter.numel() for parameter in self.parameters()) / 1e6
        lines = [f"Recognizer({self.folder.name if self.folder else 'not saved'}, {millions:.1f} M parameters)"]
        for name, modality in self.model.config.modalities.items():
            seen = state.seen_in(name)
            lines.append(f"  {name}: reads {modality.features}, trained on {len(seen)} labels")
        lines.append(f"  default labels: {', '.join(self.labels) or 'none'}")
        if state.taught:
            lines.append(f"  taught by examples: {', '.join(state.taught)}")
        if state.attuned:
            lines.append(f"  attuned to: {', '.join(f'{count} {name}' for name, count in state.attuned.items())}")
        licence = state.provenance.get("licence")
        return "\n".join([*lines, f"  licence of the weights: {licence}"] if licence else lines)

    def predict_dialogue(
        self,
        turns: Any,
        labels: Labels | None = None,
        *,
        strength: float | None = None,
        **options: Unpack[PredictOptions],
    ) -> DialogueResult:
        """Score labels for each turn of a dialogue, in the context of its earlier turns.

        The earlier turns move each turn's point, and the answer is the nearest label. So any emotion name works. The
        first turn has the result of `predict`.

        Args:
            turns: a table, or a list of dictionaries with any of `text`, `audio`, `video`, `speaker`, `start`, `end`
                and `turn`, or a list of texts. `emoembed.read_transcript` reads files of turns. A turn without text,
                audio and video is a gap: it gets no label.
            labels: as for `predict`.
            strength: weight of the mean of earlier turns; 0 for none. By default the weight from the model's training,
                or 0.5. The best weight differs between corpora.
            options: as for `predict`. With `batch_size=1` the results equal those of `dialogue` in every bit. `abstain`
                needs a model that was trained on dialogues.

        Raises:
            InputError: there are no turns, a turn has an unknown key or a wrong value, or the turns are not in order.
            LabelError, MissingFileError, MediaError: as for `predict`.

        Examples:
            >>> import emoembed
            >>> turns = [{"speaker": "Ann", "text": "Get out of here!"}, {"speaker": "Ben", "text": "I am ashamed."}]
            >>> results = emoembed.load("base").predict_dialogue(turns, labels=["anger", "joy", "shame"])
            >>> [(turn.speaker, turn.label, turn.context_turns) for turn in results]
            [('Ann', 'anger', 0), ('Ben', 'shame', 1)]
        """
        checked = options_of(options)
        turns_in_order = turns_of(turns)
        dialogue = self._dialogue(labels, strength, checked)
        size = checked.batch_size
        chunks = [turns_in_order[i : i + size] for i in range(0, len(turns_in_order), size)]
        return DialogueResult(result for chunk in chunks for result in dialogue.answer(chunk))

    def dialogue(
        self,
        labels: Labels | None = None,
        *,
        strength: float | None = None,
        state: Mapping[str, Any] | None = None,
        **options: Unpack[PredictOptions],
    ) -> Dialogue:
        """Start a dialogue whose turns come one at a time: `dialogue.add(text, speaker="A")` scores a turn.

        Args:
            labels, strength, options: as for `predict_dialogue`.
            state: a state of `Dialogue.state` to continue from.

        Raises:
            InputError: an argument has a wrong value, or the state belongs to another model.

        Examples:
            >>> import emoembed
            >>> dialogue = emoembed.load("base").dialogue(labels=["anger", "joy", "shame"])
            >>> dialogue.add("Get out of here!", speaker="Ann").label
            'anger'
        """
        dialogue = self._dialogue(labels, strength, options_of(options))
        if state is not None:
            dialogue.resume(state)
        return dialogue

    def _dialogue(self, labels: Labels | None, strength: float | None, options: Options) -> Dialogue:
        context = self.model.context_encoder()
        is_number = isinstance(strength, Real) and not isinstance(strength, bool)
        if strength is not None and not (is_number and 0 <= strength < math.inf):
            raise InputError(f"strength must be a number of at least 0; given {strength!r:.40}")
        if strength is not None and risk_of(options.abstain) is not None:
            raise InputError("abstain was calibrated with the strength of the model; leave out strength or abstain")
        labels = labels_of(labels, options)
        with torch.inference_mode():
            label_sets = self._label_sets.of(labels), self._label_sets.of(labels, context=True)
        return Dialogue(
            self.model,
            context if strength is None else context.with_strength(strength),
            *label_sets,
            multi_label=options.multi_label,
            risk=self.risk(options.abstain, list(self.model.modalities), context=True),
            skip=options.errors == "skip",
        )

    def timeline(
        self,
        source: Any = None,
        labels: Labels | None = None,
        *,
        window: float = 4.0,
        hop: float | None = None,
        segments: Literal["windows", "speech", "turns"] = "windows",
        transcript: str | Path | list[Turn] | None = None,
        **options: Unpack[TimelineOptions],
    ) -> Timeline:
        """Score labels over the time of a long recording or film, window by window.

        The recording is decoded once, piece by piece, so its length does not matter. Faces are followed from window to
        window.

        Args:
            source: a sound file or a film (path, bytes or open file); `(samples, sampling_rate)`; or a dictionary with
                `audio` and `video` for sound and film in two files. It may be left out if a transcript is given, and is
                not opened by a model that reads only text.
            labels: as for `predict`.
            window, hop: length of a window and time from one window to the next, in seconds. By default, a window
                begins at the middle of the one before it.
            segments: "windows"; "speech" for stretches of speech between pauses, at most 15 s long; or "turns" for the
                turns of the transcript.
            transcript: a file with times (such as .vtt or .srt), or turns. A text counts for the window in which the
                middle of its turn lies.
            options: `multi_label` and `abstain` as for `predict`; `every_face` scores every face, instead of the face
                that is largest when a track begins; `progress` shows a progress bar, or is a function that receives the
                seconds that were read.

        Raises:
            InputError: an argument has a wrong value, or the recording has no track that this model reads.
            LabelError, MissingFileError, MediaError: as for `predict`.

        Examples:
            >>> import emoembed, numpy as np
            >>> from emoembed.reading.turns import Turn
            >>> sound = 0.001 * np.random.default_rng(0).standard_normal(8 * 16_000)  # no speech: only texts count
            >>> turns = [Turn("What a lovely day!", start=0, end=4), Turn("How dare you!", start=4, end=8)]
            >>> timeline = emoembed.load("base").timeline((sound, 16_000), ["joy", "anger"], transcript=turns)
            >>> [(window.start, window.end, window.label) for window in timeline]
            [(0.0, 4.0, 'joy'), (2.0, 6.0, 'joy'), (4.0, 8.0, 'anger')]
        """
        checked, every_face, progress = timeline_options_of(options)
        given_turns = _turns_in(transcript) if isinstance(transcript, str | Path) else transcript
        turns = turns_of(given_turns) if given_turns else []
        if turns and all(turn.start is None for turn in turns):
            raise InputError(
                "the transcript has no times, so its texts cannot be placed; give a transcript with times, such as .vtt"
            )
        stream = self._stream(labels, cutter_of(window, hop, segments, turns), checked, every_face, turns)
        recording = open_recording(source, tuple(self.model.config.modalities), turns)
        if segments == "speech" and recording.sound is None:
            raise InputError("segments='speech' needs sound, and the recording has none; leave it out")
        return Timeline(answer_recording(stream, recording, progress=progress))

    def stream(
        self,
        labels: Labels | None = None,
        *,
        window: float = 4.0,
        hop: float | None = None,
        segments: Literal["windows", "speech"] = "windows",
        **options: Unpack[TimelineOptions],
    ) -> Stream:
        """Score labels while sound and frames arrive: `stream.push(samples, 16000)` returns results as windows fill.

        `stream.finish()` returns what remains at the end. The state has a fixed size. The arguments are those of
        `timeline`.

        Raises:
            InputError: an argument has a wrong value, or the model reads only text.
            LabelError: as for `predict`.

        Examples:
            >>> import emoembed, numpy as np
            >>> time = np.arange(5 * 16_000) / 16_000  # a buzz whose pitch and loudness change, instead of a voice:
            >>> voice = (150 * time + 10 * np.sin(3 * time)) % 1 * np.sin(9 * time) ** 2
            >>> stream = emoembed.load("base").stream(labels=["joy", "anger"], window=2.0)
            >>> [(result.start, result.end) for result in stream.push(voice, 16_000)]
            [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (3.0, 5.0)]
        """
        checked, every_face, _ = timeline_options_of(options, "stream")
        if not {"audio", "video"} & set(self.model.modalities):
            raise InputError("a stream is sound or frames, and this model reads only text; give each text to predict")
        return self._stream(labels, cutter_of(window, hop, segments), checked, every_face, ())

    def _stream(
        self, labels: Labels | None, cutter: Cutter, options: Options, every_face: bool, turns: Sequence[Turn]
    ) -> Stream:
        with torch.inference_mode():
            label_set = self._label_sets.of(labels)
        risk = self.risk(options.abstain, list(self.model.modalities))
        return Stream(self.model, cutter, Settings(label_set, options.multi_label, risk, every_face, turns))

    def risk(self, abstain: bool | float, modalities: Sequence[str], *, context: bool = False) -> float | None:
        """The share of wrong answers that `abstain` accepts; None for no abstention.

        Args:
            abstain: as in `predict`.
            modalities: the modalities that are given.
            context: whether the items are turns of dialogues.

        Raises:
            InputError: `abstain` has a wrong value, or one of the modalities was never calibrated.
        """
        risk = risk_of(abstain)
        if risk is None:
            return None
        if context and self.model.context is None:
            raise InputError("this model cannot abstain in dialogues: it was not calibrated on them; leave out abstain")
        calibrations = self.model.calibrations(context=context)
        uncalibrated = [name for name in modalities if not bool(calibrations[name].thresholds.any())]
        if uncalibrated:
            raise InputError(
                f"this model cannot abstain: its {', '.join(uncalibrated)} was never calibrated on validation rows; "
                "leave out abstain"
            )
        return risk

    @torch.inference_mode()
    def encode(self, text: Any = None, audio: Any = None, video: Any = None) -> dict[str, np.ndarray]:
        """Modality -> unit-length points: `(embed_dim,)`, or for lists `(items, embed_dim)` with NaN where absent.

        Examples:
            >>> import emoembed
            >>> texts = ["I miss you so much.", "I wish you were here with me.", "The train is late again."]
            >>> points = emoembed.load("base").encode(texts)["text"]
            >>> bool(points[0] @ points[1] > points[0] @ points[2])  # cosines: the first two texts are more alike
            True
        """
        items, single = items_of({"text": text, "audio": audio, "video": video})
        points: dict[str, np.ndarray] = {}
        for batch in batches_of(items, BATCH_SIZE):
            read_items = [self._read(items[i], i, single).readings for i in batch]
            for name, found in self.model.encode(batch_of(self.model, read_items)).items():
                dim = self.model.config.modalities[name].embed_dim
                matrix = points.setdefault(name, np.full((len(items), dim), np.nan, dtype=np.float32))
                matrix[batch] = found[:, :dim].float().cpu().numpy()
        return {name: points[name][0] if single else points[name] for name in self.model.modalities if name in points}

    def adapt(
        self,
        support: Iterable[Mapping[str, Any]] | pd.DataFrame,
        labels: Labels | None = None,
        *,
        errors: str = "raise",
    ) -> Recognizer:
        """Teach labels from a few examples (few-shot). Returns a new recognizer; this recognizer does not change.

        The new score of a label is its score by name plus a score by its examples. Labels that are not taught keep
        their scores, and a taught label does not become more frequent than its name and its examples support
        (`transfer.few_shot` explains the method).

        Args:
            support: dictionaries or a table. Each row has a `label` (a name, or a list of names) and any of `text`,
                `audio`, `video`.
            labels: the labels to teach: names, or a dictionary of name to description; by default the labels of the
                support. A description sets the label's starting vector. The model keeps it and uses it in every
                modality when the label is named again.
            errors: "raise" raises the error of the first row that cannot be used; "skip" leaves these rows out and
                warns.

        Raises:
            InputError: the support is empty, a row has no label, a row has a label that is not in `labels`, or an
                argument has a wrong value.
            MediaError, MissingFileError: a row cannot be used, and `errors` is "raise".

        Examples:
            >>> import emoembed
            >>> model, text = emoembed.load("base"), "I still keep your chair by the window."
            >>> examples = ["I still set the table for two.", "Your coat still hangs in the hall."]
            >>> mine = model.adapt([{"text": example, "label": "saudade"} for example in examples])
            >>> before, after = (part.predict(text, labels=["saudade", "joy", "fear"]) for part in (model, mine))
            >>> before.scores["saudade"] < after.scores["saudade"]
            True
        """
        return Recognizer(learning.adapted(self.model, support, labels, errors), self.folder)

    def attune(self, audio: Any = None, video: Any = None, text: Any = None, *, errors: str = "raise") -> Recognizer:
        """Adapt to a microphone, room, speaker or camera from unlabelled recordings or faces (mean alignment).

        Give about thirty items of mixed emotions. The model subtracts the mean shift that they share. Returns a new
        recognizer; this recognizer does not change. Call `attune` before `adapt`. `transfer.attune` explains the
        method.

        Args:
            audio: a list of recordings, in any form that `predict` accepts.
            video: a list of faces, in any form that `predict` accepts.
            text: a list of turns of dialogues. The mean of other texts shows their topic.
            errors: "raise" raises the error of the first item that cannot be used; "skip" leaves these items out and
                warns.

        Raises:
            InputError: no items, a modality that this model does not read, or labels already taught in the same
                modality with `adapt`.
            MediaError, MissingFileError: an item cannot be used, and `errors` is "raise".

        Examples:
            >>> import emoembed, numpy as np
            >>> time = np.arange(8_000) / 16_000  # thirty buzzes of different pitch, instead of voices:
            >>> buzzes = [((120 + 5 * i) * time + 10 * np.sin(3 * time)) % 1 * np.sin(9 * time) ** 2 for i in range(30)]
            >>> mine = emoembed.load("base").attune(audio=[(buzz, 16_000) for buzz in buzzes])
            >>> "attuned to: 30 audio" in repr(mine)
            True
        """
        inputs = {"audio": audio, "video": video, "text": text}
        return Recognizer(learning.attuned(self.model, inputs, errors), self.folder)

    def _read_batch(self, items: Mapping[int, Mapping[str, Any]], single: bool, skip: bool) -> list[Item]:
        """Read items by their position. With `skip`, what cannot be used is left out; otherwise its error is raised."""
        if skip:
            return [read_what_can_be(self.model, item) for item in items.values()]
        return [self._read(item, position, single) for position, item in items.items()]

    def _read(self, item: Mapping[str, Any], position: int, single: bool) -> Item:
        return read_item(self.model, item, "" if single else f"item {position}: ")


def _turns_in(transcript: str | Path) -> list[Turn]:
    from emoembed.reading.transcripts import read_transcript

    return read_transcript(transcript)
