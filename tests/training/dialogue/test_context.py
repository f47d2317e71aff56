from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from emoembed import metrics
from emoembed.encoders.context import ContextSettings, ContextState, speaker_changes
from emoembed.errors import InputError
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.rows import EmotionData
from emoembed.training.dialogue.context import CONTEXT, ContextScorer, train_context
from emoembed.training.dialogue.rows import DialoguePoints, turn_rows
from emoembed.training.loop import encode_rows

LABELS = ("joy", "anger")
TURNS = 5
SHORT = replace(CONTEXT, epochs=12)


@pytest.fixture
def model(text_model):
    return text_model


@pytest.fixture
def dialogues(model):
    """`dialogues(count, seed)`: each dialogue has one emotion, which only its first turn shows."""

    @torch.no_grad()
    def make(count=30, seed=0):
        generator = torch.Generator().manual_seed(seed)
        label_points = model.label_points(LABELS)["text"]
        background = model.modality("text").background
        true = torch.randint(2, (count,), generator=generator)
        noise = torch.randn(count, TURNS, label_points.shape[1], generator=generator)
        points = background + 0.2 * noise / label_points.shape[1] ** 0.5
        points[:, 0] += label_points[true] * 2
        size = model.config.modalities["text"].embed_dim
        points[..., :size] = normalize(points[..., :size], dim=-1)
        rows = count * TURNS
        targets = np.eye(2, dtype=np.float32)[true.repeat_interleave(TURNS)]
        ids = tuple(f"{seed}-{i}" for i in range(rows))
        data = EmotionData(ids, {}, LABELS, targets, np.zeros(rows, bool))
        groups = [list(range(i * TURNS, (i + 1) * TURNS)) for i in range(count)]
        speakers = ["AB"[i % 2] for i in range(rows)]
        return DialoguePoints({"text": points.reshape(rows, -1)}, data, groups, speakers)

    return make


def recall(model, dialogues, context=None):
    """UAR of the turns after the first, with and without context."""
    later = [i for group in dialogues.dialogues for i in group[1:]]
    points = dialogues.points["text"].clone()
    encoder = model.context_encoder()
    for group in dialogues.dialogues if context else ():
        state = ContextState()
        for i in group:
            own = dialogues.points["text"][i]
            points[i] = encoder.in_context({"text": own}, state, dialogues.speakers[i])["text"]
            size = encoder.dims["text"]
            difference = own[:size] - model.modality("text").background[:size]
            state = encoder.add(state, {"text": difference}, dialogues.speakers[i])
    logits = model.score({"text": points}, model.label_points(LABELS))["text"][later]
    return metrics.uar(logits.argmax(dim=1).numpy(), dialogues.data.targets[later].argmax(axis=1))


def test_a_context_learns_what_only_earlier_turns_say(model, dialogues):
    trained, history = train_context(model, dialogues(40), dialogues(20, seed=1), config=SHORT)
    test = dialogues(40, seed=2)
    with torch.no_grad():
        assert recall(trained, test) < 0.65
        assert recall(trained, test, context=True) > 0.9
    assert max(history.scores) > 0.9


def test_the_modalities_stay_as_they_were(model, dialogues):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained, _ = train_context(model, dialogues(20), dialogues(10, seed=1), config=SHORT)
    after = trained.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert model.context is None
    assert all(parameter.requires_grad for parameter in trained.context.parameters())


def test_the_same_seed_gives_the_same_context(model, dialogues):
    first, second, other = (
        train_context(model, dialogues(20), dialogues(10, seed=1), config=replace(SHORT, seed=seed, epochs=2))[0]
        for seed in (0, 0, 1)
    )
    weights = [model.context.encoder.outputs["text"].weight for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_few_dialogues_train_only_the_weight_of_the_mean(model, dialogues):
    trained, _ = train_context(model, dialogues(8), dialogues(5, seed=1), config=SHORT)
    assert trained.config.context == ContextSettings(hidden_dim=0)
    names = {name for name, _ in trained.context.encoder.named_parameters()}
    assert names == {"strength.text"}
    assert trained.context.encoder.strength["text"] > 0.5, "the mood lasts in these dialogues"


def test_training_reads_turns_as_predictions_do(model, dialogues):
    settings = ContextSettings(hidden_dim=6)
    trained, _ = train_context(model, dialogues(20), dialogues(10, seed=1), settings, config=replace(SHORT, epochs=2))
    test = dialogues(6, seed=3)
    rows = turn_rows(trained, test)
    together = encode_rows(ContextScorer(trained), rows)["text"]
    encoder, background = trained.context.encoder, trained.modality("text").background
    size = encoder.dims["text"]
    with torch.no_grad():
        for group in test.dialogues:
            state = ContextState()
            for i in group:
                own = test.points["text"][i]
                moved = encoder.in_context({"text": own}, state, test.speakers[i])["text"]
                torch.testing.assert_close(together[i], moved, atol=1e-5, rtol=1e-4)
                state = encoder.add(state, {"text": own[:size] - background[:size]}, test.speakers[i])


def test_turns_without_label_or_modality(model, dialogues):
    made = dialogues(3)
    targets, points = made.data.targets.copy(), made.points["text"].clone()
    targets[0] = np.nan  # informs later turns only
    points[2] = torch.nan  # a gap
    made = replace(made, points={"text": points}, data=replace(made.data, targets=targets))
    rows = turn_rows(model, made)
    assert rows.ids == tuple(made.data.ids[i] for i in range(15) if i not in (0, 2))
    lengths = [len(rows.inputs["turns"].get(row, ())) for row in rows.ids[:4]]
    assert lengths == [1, 2, 3, 0]
    size = model.config.modalities["text"].embed_dim
    history = rows.inputs["turns"][rows.ids[2]]
    difference = points[1, :size] - model.modality("text").background[:size]
    np.testing.assert_allclose(history[1, :size], difference.numpy(), atol=1e-6)
    assert history[:, -1].tolist() == [0, 1, 0]
    blank = replace(made, data=replace(made.data, targets=np.full_like(targets, np.nan)))
    with pytest.raises(InputError, match="no turn of the dialogues has a label"):
        turn_rows(model, blank)


def test_a_batch_of_first_turns_and_a_lacking_modality_train(model, dialogues, three_model):
    made = dialogues(12)
    singles = replace(made, dialogues=[[group[0]] for group in made.dialogues])
    trained, _ = train_context(model, made, singles, ContextSettings(4), config=replace(SHORT, epochs=1))
    assert all(bool(value.isfinite().all()) for value in trained.context.state_dict().values())
    with_sound = three_model.eval()
    sound = torch.full((len(made.data), with_sound.config.modalities["audio"].point_dim), torch.nan)
    sound[::3] = normalize(torch.randn_like(sound[::3]), dim=1)
    both = replace(made, points={"text": made.points["text"], "audio": sound})
    trained, history = train_context(with_sound, both, both, ContextSettings(4), config=replace(SHORT, epochs=2))
    assert np.isfinite(history.losses).all()
    assert all(bool(value.isfinite().all()) for value in trained.context.state_dict().values())
    video = with_sound.modality("video").calibration.thresholds
    assert torch.equal(trained.context.calibration["video"].thresholds, video)


def test_silent_turns_do_not_inform_later_turns(model, dialogues):
    made = dialogues(1)
    rows = turn_rows(model, replace(made, silent={"text": {0, 2}}))
    assert [len(rows.inputs["turns"][row]) for row in rows.ids] == [0, 0, 1, 1, 2]


def test_the_sound_of_a_turn_counts_whose_text_is_not_understood(three_model):
    """Training reads the same history as prediction, which leaves out the text alone."""
    dims = {name: three_model.config.modalities[name].point_dim for name in ("text", "audio")}
    points = {name: torch.ones(3, dim) for name, dim in dims.items()}
    data = EmotionData(("0", "1", "2"), {}, LABELS, np.eye(2, dtype=np.float32)[[0, 1, 0]], np.zeros(3, bool))
    rows = turn_rows(three_model, DialoguePoints(points, data, [[0, 1, 2]], ["A", None, "B"], {"text": {0}}))
    turns = rows.inputs["turns"]["2"]
    text, audio, _ = np.split(turns[:, :-1], np.cumsum(list(three_model.config.embed_dims.values()))[:-1], axis=1)
    assert len(turns) == 2
    assert np.isnan(text).all(axis=1).tolist() == [True, False]
    assert not np.isnan(audio).any()


def test_an_unknown_speaker_is_no_change():
    assert speaker_changes(["Ann", None, "Ann", "Ben", None]) == [0, 0, 0, 1, 0]
    assert speaker_changes([None, "Ann", None]) == [0, 0, 0]


def test_first_turns_are_left_out_of_the_calibration_in_context(model, dialogues):
    """The calibration of single items answers them."""
    made = dialogues(20)
    wrong = replace(made.data, targets=made.data.targets.copy())
    first = [group[0] for group in made.dialogues]
    wrong.targets[first] = 1 - wrong.targets[first]
    settings = ContextSettings(0)
    fitted = [train_context(model, made, valid, settings)[0] for valid in (made, replace(made, data=wrong))]
    slopes = [each.context.calibration["text"].slopes for each in fitted]
    assert torch.equal(*slopes)


def test_turns_in_context_have_their_own_calibration(model, dialogues):
    recognizer = Recognizer(model)
    trained, _ = train_context(model, dialogues(20), dialogues(20, seed=1), config=SHORT)
    talk = Recognizer(trained).predict_dialogue(["we made it", "oh no", "not that"], LABELS, abstain=True)
    assert len(talk) == 3
    slopes = trained.context.calibration["text"].slopes
    assert not torch.equal(slopes, trained.modality("text").calibration.slopes)
    first = Recognizer(trained).predict("we made it", labels=LABELS)
    assert first.scores == pytest.approx(recognizer.predict("we made it", labels=LABELS).scores, abs=1e-6)
    plain = Recognizer(trained).predict_dialogue(["we made it", "oh no"], LABELS)
    with torch.no_grad():
        trained.context.calibration["text"].slopes.mul_(2)
    sharper = Recognizer(trained).predict_dialogue(["we made it", "oh no"], LABELS)
    assert sharper[0].scores == plain[0].scores
    assert max(sharper[1].scores.values()) > max(plain[1].scores.values())
