import pytest
import torch
from torch.nn.functional import normalize

from emoembed.encoders.context import ContextEncoder, ContextSettings, ContextState

DIM = 12


@pytest.fixture
def turns():
    return [{"text": normalize(torch.randn(DIM), dim=0)} for _ in range(5)]


@pytest.fixture
def mean_only():
    return ContextEncoder({"text": DIM, "audio": DIM}, ContextSettings(hidden_dim=0))


@pytest.fixture
def trained():
    encoder = ContextEncoder({"text": DIM, "audio": DIM}, ContextSettings(hidden_dim=7))
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter)
    return encoder.eval()


@torch.no_grad()
def states_of(encoder, turns, speakers="ABABA"):
    states = [ContextState()]
    for turn, speaker in zip(turns, speakers, strict=True):
        states.append(encoder.add(states[-1], turn, speaker))
    return states


@torch.no_grad()
def test_a_point_moves_by_the_mean_of_the_earlier_turns(mean_only, turns):
    background = torch.randn(DIM) / 5
    encoder = mean_only.with_strength(0.7)
    states = states_of(encoder, [{"text": turn["text"] - background} for turn in turns])
    earlier = torch.stack([turn["text"] for turn in turns[:4]]) - background
    expected = normalize(turns[4]["text"] + 0.7 * earlier.mean(dim=0), dim=0)
    torch.testing.assert_close(encoder.in_context(turns[4], states[4])["text"], expected)
    assert [state.turns for state in states] == [0, 1, 2, 3, 4, 5]


def after_all(gru, inputs):
    """The state of a GRU after some inputs, by a cell with its weights."""
    cell, hidden = torch.nn.GRUCell(7, 7), torch.zeros(7)
    for name, weight in cell.named_parameters():
        weight.copy_(getattr(gru, f"{name}_l0"))
    for values in inputs:
        hidden = cell(values, hidden)
    return hidden


@torch.no_grad()
def test_a_trained_context_is_a_gru_over_all_earlier_turns_and_one_over_the_speakers_own(trained, turns):
    states = states_of(trained, turns, "AABBA")
    read = [
        trained.inputs["text"](turn["text"]) + trained.missing["audio"] + changed * trained.changed
        for turn, changed in zip(turns[:4], (0.0, 0.0, 1.0, 0.0), strict=True)
    ]
    mean = torch.stack([turn["text"] for turn in turns[:4]]).mean(dim=0)
    for speaker, own in (("A", read[:2]), ("B", read[2:]), ("C", []), (None, [])):
        moved = turns[4]["text"] + trained.strength["text"] * mean
        moved = moved + trained.outputs["text"].weight @ after_all(trained.gru, read)
        moved = moved + (trained.own_outputs["text"].weight @ after_all(trained.own_gru, own) if own else 0.0)
        torch.testing.assert_close(
            trained.in_context(turns[4], states[4], speaker)["text"], normalize(moved, dim=0), atol=1e-5, rtol=1e-4
        )


@torch.no_grad()
def test_a_batch_of_turns_moves_as_each_turn_in_its_dialogue(trained, turns):
    speakers = "ABBAB"
    states = states_of(trained, turns, speakers)
    longest, numbers = 4, (0, 1, 3, 4)
    earlier, changed = torch.zeros(len(numbers), longest, DIM), torch.zeros(len(numbers), longest)
    same_speaker = torch.zeros(len(numbers), longest, dtype=torch.bool)
    for row, number in enumerate(numbers):
        for i in range(number):
            earlier[row, i] = turns[i]["text"]
            changed[row, i] = float(i > 0 and speakers[i] != speakers[i - 1])
            same_speaker[row, i] = speakers[i] == speakers[number]
    points = {"text": torch.stack([turns[number]["text"] for number in numbers])}
    differences = {"text": earlier, "audio": torch.full_like(earlier, torch.nan)}
    together = trained(points, differences, changed, same_speaker, torch.tensor(numbers))["text"]
    for row, number in enumerate(numbers):
        alone = trained.in_context(turns[number], states[number], speakers[number])["text"]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_only_the_latest_speakers_are_remembered(trained, turns):
    state = ContextState()
    for number in range(40):
        state = trained.add(state, turns[number % 5], f"speaker {number}")
    state = trained.add(state, turns[0], "speaker 30")
    assert list(state.own) == [*(f"speaker {number}" for number in range(24, 40) if number != 30), "speaker 30"]


def test_training_leaves_out_half_of_what_the_recurrences_read(trained, turns):
    inputs = {"text": torch.stack([turn["text"] for turn in turns])[None]}
    once, again = (trained.states(inputs, torch.zeros(1, 5)) for _ in range(2))
    assert torch.equal(once, again)
    trained.train()
    once, again = (trained.states(inputs, torch.zeros(1, 5)) for _ in range(2))
    assert not torch.equal(once, again)


@torch.no_grad()
def test_the_recurrence_starts_without_effect(turns):
    fresh = ContextEncoder({"text": DIM}, ContextSettings(hidden_dim=7))
    mean = ContextEncoder({"text": DIM}, ContextSettings(hidden_dim=0))
    states, means = states_of(fresh, turns), states_of(mean, turns)
    assert states[4].hidden is not None
    torch.testing.assert_close(fresh.in_context(turns[4], states[4]), mean.in_context(turns[4], means[4]))


@torch.no_grad()
def test_a_turn_with_nothing_before_it_keeps_every_bit(trained, mean_only, turns):
    for scale in (1.0, 1.0 + 1e-7):  # a norm that normalising again would change
        turn = {"text": turns[0]["text"] * scale}
        for encoder in (trained, mean_only):
            assert torch.equal(encoder.in_context(turn, ContextState())["text"], turn["text"])
        heard = mean_only.add(ContextState(), {"audio": torch.randn(DIM)})
        assert torch.equal(mean_only.in_context(turn, heard)["text"], turn["text"])


@torch.no_grad()
def test_sound_that_came_before_informs_a_text(trained, turns):
    heard = trained.add(ContextState(), {"audio": turns[0]["text"]})
    assert not torch.allclose(trained.in_context(turns[1], heard)["text"], turns[1]["text"])


@torch.no_grad()
def test_names_of_speakers_do_not_matter_but_their_changes_do(trained, turns):
    last = [states_of(trained, turns, speakers)[-1].hidden for speakers in ("ABABA", "XYXYX", "AAAAA")]
    assert torch.equal(last[0], last[1])
    assert not torch.allclose(last[0], last[2])


@torch.no_grad()
def test_columns_without_labels_stay(trained, turns):
    state = trained.add(ContextState(), turns[0])
    long_point = torch.cat([turns[1]["text"], torch.tensor([3.0, 4.0])])
    moved = trained.in_context({"text": long_point}, state)["text"]
    assert torch.equal(moved[DIM:], long_point[DIM:])
    assert moved[:DIM].norm() == pytest.approx(1, abs=1e-6)
    assert torch.equal(long_point[:DIM], turns[1]["text"]), "the point of the caller has changed"


@torch.no_grad()
def test_a_turn_without_any_modality_leaves_the_state(trained, turns):
    state = trained.add(ContextState(), turns[0], "A")
    assert trained.add(state, {}, "B") is state


@torch.no_grad()
def test_a_batch_with_missing_modalities_reads_as_each_dialogue_alone(trained):
    text, audio = torch.randn(3, DIM), torch.randn(3, DIM)
    text[1], audio[2] = torch.nan, torch.nan
    changed = torch.tensor([[0.0], [1.0], [0.0]])
    together = trained.states({"text": text[:, None], "audio": audio[:, None]}, changed)
    for row, present in enumerate((("text", "audio"), ("audio",), ("text",))):
        given = {name: {"text": text, "audio": audio}[name][row : row + 1, None] for name in present}
        torch.testing.assert_close(together[row], trained.states(given, changed[row : row + 1])[0])


@torch.no_grad()
def test_all_states_at_once_are_those_of_one_turn_after_another(trained):
    text, changed = torch.randn(6, DIM), torch.tensor([[0.0, 1, 1, 0, 1, 0]])
    states = trained.states({"text": text[None]}, changed)[0]
    one_by_one = states_of(trained, [{"text": turn} for turn in text], "ABAABB")[1:]
    for at_once, state in zip(states, one_by_one, strict=True):
        torch.testing.assert_close(at_once, state.hidden)
