"""A dialogue in progress: turns are added one at a time, and each turn is scored in the context of earlier turns."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from emoembed.encoders.context import ContextEncoder, ContextState
from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.prediction.answer import answer
from emoembed.prediction.dialogue.result import TurnResult
from emoembed.prediction.label_sets import LabelSet
from emoembed.prediction.result import Result
from emoembed.reading.items import Item, batch_of
from emoembed.reading.turns import Turn, read_turn

STATE_VERSION = 2


class Dialogue:
    """A dialogue in progress. Only a state of fixed size is kept. `Recognizer.dialogue` returns a `Dialogue`.

    Args:
        model: the model that scores.
        context: the encoder that moves points by the earlier turns.
        labels: the labels of every turn.
        labels_in_context: the same labels, with the calibration of turns in context.
        multi_label: each label gets its own probability.
        risk: the accepted share of wrong answers; None: the model never abstains.
        skip: leave out sources that cannot be used, instead of raising an error.

    Examples:
        >>> import emoembed
        >>> model, labels = emoembed.load("base"), ["anger", "joy", "shame"]
        >>> dialogue = model.dialogue(labels)
        >>> dialogue.add("Get out of here!", speaker="Ann").label
        'anger'
        >>> later = model.dialogue(labels, state=dialogue.state())
        >>> later.add("I am ashamed of what I did.", speaker="Ben").context_turns
        1
    """

    def __init__(
        self,
        model: EmotionModel,
        context: ContextEncoder,
        labels: LabelSet,
        labels_in_context: LabelSet,
        *,
        multi_label: bool = False,
        risk: float | None = None,
        skip: bool = False,
    ) -> None:
        self.model, self.encoder = model, context
        self.labels, self.labels_in_context = labels, labels_in_context
        self.multi_label, self.risk, self.skip = multi_label, risk, skip
        self.context = ContextState()
        self.position = 0
        self.clock = 0.0

    def add(
        self,
        text: str | None = None,
        audio: Any = None,
        video: Any = None,
        *,
        speaker: str | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> TurnResult:
        """Score the next turn in the context of the earlier turns.

        Args:
            text, audio, video: as for `emoembed.predict`, in any combination. A turn without any of them is a gap.
            speaker, start, end: as in `emoembed.reading.turns.Turn`.

        Raises:
            InputError: an argument has a wrong value, or the turn starts before an earlier one.
            MediaError, MissingFileError: as `predict` raises them. The dialogue stays as it was.
        """
        return self.answer([Turn(text, audio, video, speaker, start, end)])[0]

    @torch.inference_mode()
    def answer(self, turns: Sequence[Turn]) -> list[TurnResult]:
        """Score the next turns in one batch. If one of them cannot be used, no turn is added."""
        clock = self._check_times(turns)
        items = [read_turn(self.model, turn, self.position + i, skip=self.skip) for i, turn in enumerate(turns)]
        own_points = self.model.encode(batch_of(self.model, [item.readings for item in items]))
        moved_points = {name: points.clone() for name, points in own_points.items()}
        context = self.context
        earlier_turns = []
        for row, item in enumerate(items):
            turn_points = {name: own_points[name][row] for name in item.readings}
            for name, moved in self.encoder.in_context(turn_points, context, turns[row].speaker).items():
                moved_points[name][row] = moved
            earlier_turns.append(context.turns)
            context = self.encoder.add(context, self._differences(turn_points, item), turns[row].speaker)
        alone = self._results(own_points, items, self.labels)
        together = self._results(moved_points, items, self.labels_in_context)
        answers = [
            _turn_result(together[row] if count else alone[row], alone[row], self.position + row, turns[row], count)
            for row, count in enumerate(earlier_turns)
        ]
        self.context, self.position, self.clock = context, self.position + len(turns), clock
        return answers

    def _differences(self, points: Mapping[str, Tensor], item: Item) -> dict[str, Tensor]:
        """A turn's points minus the background. A text that is not understood does not inform later turns."""
        understood = [name for name in points if item.readings[name].understood]
        sizes = {name: self.model.config.modalities[name].embed_dim for name in understood}
        return {name: points[name][:size] - self.model.modality(name).background[:size] for name, size in sizes.items()}

    def _results(self, points: Mapping[str, Tensor], items: Sequence[Item], labels: LabelSet) -> list[Result]:
        """Results of the items; without label and scores for an item without readings."""
        rows = [row for row, item in enumerate(items) if item.readings]
        usable_points = {name: matrix[rows] for name, matrix in points.items()}
        usable_items = [items[row] for row in rows]
        answers = iter(
            answer(self.model, usable_points, usable_items, labels, multi_label=self.multi_label, risk=self.risk)
        )
        return [
            next(answers) if item.readings else Result(None, {}, {}, dict(item.absent), self.multi_label)
            for item in items
        ]

    def _check_times(self, turns: Sequence[Turn]) -> float:
        """The start of the latest turn. Raises InputError if the starts run backwards."""
        clock = self.clock
        for i, turn in enumerate(turns):
            if turn.start is not None and turn.start < clock:
                raise InputError(
                    f"turn {self.position + i} starts at {turn.start:g} s, before an earlier turn, which starts at "
                    f"{clock:g} s; add turns in the order of their start"
                )
            clock = clock if turn.start is None else float(turn.start)
        return clock

    def state(self) -> dict[str, Any]:
        """The state as plain values, ready for `json.dumps`. `Recognizer.dialogue(labels, state=...)` resumes it."""
        return {
            "version": STATE_VERSION,
            "model": _fingerprint(self.model, self.encoder),
            "position": self.position,
            "clock": self.clock,
            "turns": self.context.turns,
            "counts": dict(self.context.counts),
            "sums": {name: values.tolist() for name, values in self.context.sums.items()},
            "hidden": None if self.context.hidden is None else self.context.hidden.tolist(),
            "own": {name: values.tolist() for name, values in self.context.own.items()},
            "speaker": self.context.speaker,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `state`.

        Raises:
            InputError: the value is not a state of a dialogue, or belongs to another model.
        """
        try:
            if state["version"] != STATE_VERSION:
                raise InputError(
                    f"the state of the dialogue has version {state['version']!r}; expected {STATE_VERSION}"
                )
            if state["model"] != _fingerprint(self.model, self.encoder):
                raise InputError("the state of the dialogue belongs to another model; resume it with the same model")
            device = self.model.space.centre.device
            sums = {name: torch.tensor(values, device=device) for name, values in state["sums"].items()}
            counts = {name: int(state["counts"][name]) for name in sums}
            hidden = None if state["hidden"] is None else torch.tensor(state["hidden"], device=device)
            own = {str(name): torch.tensor(values, device=device) for name, values in state["own"].items()}
            context = ContextState(sums, counts, hidden, state["speaker"], int(state["turns"]), own)
            position, clock = int(state["position"]), float(state["clock"])
        except (KeyError, TypeError, ValueError, OverflowError, RuntimeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"this is not a state of a dialogue: {error!r}; give the result of Dialogue.state"
            ) from error
        _require_valid(context, self.encoder)
        if not 0 <= context.turns <= position or not 0 <= clock < math.inf:
            raise InputError(
                f"the state of the dialogue has position {position}, turns {context.turns} and clock {clock:g}; "
                "expected 0 <= turns <= position, and seconds of at least 0; give the result of Dialogue.state"
            )
        self.context, self.position, self.clock = context, position, clock


def _require_valid(context: ContextState, encoder: ContextEncoder) -> None:
    """Raise InputError if the values of a state cannot come from a dialogue in this context."""
    unknown = [name for name in context.sums if name not in encoder.dims]
    if unknown:
        raise InputError(
            f"the state of the dialogue has the modality {unknown[0]!r:.40}; the model has {', '.join(encoder.dims)}"
        )
    if context.speaker is not None and not isinstance(context.speaker, str):
        raise InputError(f"the speaker in the state of the dialogue must be a name; given {context.speaker!r:.40}")
    hidden_dim = encoder.settings.hidden_dim
    hidden = [] if context.hidden is None else [context.hidden]
    sizes = [(total, encoder.dims[name]) for name, total in context.sums.items()]
    sizes += [(values, hidden_dim) for values in (*hidden, *context.own.values())]
    wrong_counts = any(not 1 <= count <= context.turns for count in context.counts.values())
    needs_hidden = bool(hidden_dim and context.turns)
    if not all(bool(values.isfinite().all()) for values, _ in sizes):
        raise InputError(
            "the state of the dialogue has NaN or numbers that are too large; resume an earlier state, or start a "
            "new dialogue"
        )
    if wrong_counts or bool(hidden) != needs_hidden or any(tuple(values.shape) != (size,) for values, size in sizes):
        raise InputError("the state of the dialogue has values of a wrong size; give the result of Dialogue.state")


def _fingerprint(model: EmotionModel, encoder: ContextEncoder) -> str:
    """A short hash of what the state depends on: another model or another context has another hash."""
    digest = hashlib.sha256(json.dumps(sorted(model.modalities)).encode())
    parts = [(modality.background, modality.shift) for _, modality in model.each_modality()]
    recurrence = [value for name, value in encoder.state_dict().items() if not name.startswith("strength.")]
    for tensor in (*(tensor for pair in parts for tensor in pair), *recurrence):
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _turn_result(result: Result, alone: Result, position: int, turn: Turn, context_turns: int) -> TurnResult:
    values = {field.name: getattr(result, field.name) for field in fields(Result)}
    return TurnResult(
        **values,
        turn=position,
        speaker=turn.speaker,
        start=turn.start,
        end=turn.end,
        text=turn.text,
        alone=alone,
        context_turns=context_turns,
    )
