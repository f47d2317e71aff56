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


@torch.no_grad()
def test_a_trained_context_is_a_gru_over_the_earlier_turns(trained, turns):
    states = states_of(trained, turns, "AABBA")
    cell = torch.nn.GRUCell(7, 7)
    for name, weight in cell.named_parameters():
        weight.copy_(getattr(trained.gru, f"{name}_l0"))
    hidden = torch.zeros(7)
    for turn, changed in zip(turns[:4], (0.0, 0.0, 1.0, 0.0), strict=True):
        hidden = cell(
            trained.inputs["text"](turn["text"]) + trained.missing["audio"] + changed * trained.changed, hidden
        )
    mean = torch.stack([turn["text"] for turn in turns[:4]]).mean(dim=0)
    moved = turns[4]["text"] + trained.strength["text"] * mean + trained.outputs["text"].weight @ hidden
    torch.testing.assert_close(
        trained.in_context(turns[4], states[4])["text"], normalize(moved, dim=0), atol=1e-5, rtol=1e-4
    )


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
    changed = torch.tensor([0.0, 1.0, 0.0])
    together = trained.read(None, {"text": text, "audio": audio}, changed)
    for row, present in enumerate((("text", "audio"), ("audio",), ("text",))):
        given = {name: {"text": text, "audio": audio}[name][row : row + 1] for name in present}
        torch.testing.assert_close(together[row], trained.read(None, given, changed[row : row + 1])[0])


@torch.no_grad()
def test_all_states_at_once_are_those_of_one_turn_after_another(trained):
    text, changed = torch.randn(2, 6, DIM), torch.tensor([[0.0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 1, 1]])
    text[1, 3] = torch.nan
    states = trained.states({"text": text}, changed)
    hidden = None
    for time in range(6):
        hidden = trained.read(hidden, {"text": text[:, time]}, changed[:, time])
        torch.testing.assert_close(states[:, time], hidden)
