import numpy as np
import pytest
import soundfile
import torch

from emoembed.errors import InputError
from emoembed.model import checkpoint
from emoembed.prediction.recognizer import Recognizer
from emoembed.training import manifest

KINDS = {"joy": ("jubilant", "sunny", "merry"), "anger": ("wrathful", "irate", "cross")}
DIALOGUES, TURNS = 12, 4


@pytest.fixture
def chats(corpus_of):
    """Dialogues with one emotion each; their third turns have no label."""
    emotions = ["joy", "anger"] * (DIALOGUES // 2)
    texts = [KINDS[emotion][i % 3] for emotion in emotions for i in range(TURNS)]
    labels = [() if i == 2 else (emotion,) for emotion in emotions for i in range(TURNS)]
    names = [f"d{i}" for i in range(DIALOGUES) for _ in range(TURNS)]
    speakers = [f"d{i}-{'AB'[turn % 2]}" for i in range(DIALOGUES) for turn in range(TURNS)]
    return corpus_of(texts, labels, dialogue=names, turn=list(range(TURNS)) * DIALOGUES, speaker=speakers)


def test_a_manifest_trains_a_context(chats, word_table, tmp_path):
    trained = manifest.train_manifest(
        chats, tmp_path / "model", base=word_table, epochs=4, batch_size=8, context=True, seed=1
    )
    assert trained.model.context is not None
    assert trained.scores["context"] > 0.5
    plain = manifest.train_manifest(chats, base=word_table, epochs=4, batch_size=8, seed=1)
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(trained.model.state_dict()[name], value, rtol=0, atol=0)
    turns = [{"text": text, "speaker": "AB"[i % 2]} for i, text in enumerate(("merry", "jubilant", "sunny"))]
    talk = Recognizer(trained.model).predict_dialogue(turns, ["joy", "anger"], abstain=True)
    loaded = Recognizer(checkpoint.load(tmp_path / "model"))
    for turn, other in zip(talk, loaded.predict_dialogue(turns, ["joy", "anger"], abstain=True), strict=True):
        assert turn.scores == pytest.approx(other.scores, abs=1e-4)


def test_context_needs_dialogues(corpus_of, word_table):
    rows = corpus_of(["jubilant", "irate"] * 10, ["joy", "anger"] * 10)
    with pytest.raises(InputError, match="toy has no dialogues"):
        manifest.train_manifest(rows, base=word_table, context=True, epochs=1)
    single = corpus_of(["jubilant", "irate"] * 10, ["joy", "anger"] * 10, dialogue=["d"] * 20)
    with pytest.raises(InputError, match="at least two training dialogues and one validation dialogue"):
        manifest.train_manifest(single, base=word_table, context=True, epochs=1)


def test_held_out_rows_keep_dialogues_whole_with_their_speakers(chats):
    held_out = manifest.hold_out(chats).samples
    assert set(held_out["split"]) == {"train", "valid"}
    for column in ("dialogue", "speaker"):
        assert (held_out.groupby(column)["split"].nunique() == 1).all()


def test_context_trains_on_text_and_sound_where_some_turns_lack_one(corpus_of, word_table, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path / "cache"))
    emotions = ["joy", "anger"] * (DIALOGUES // 2)
    texts, labels, names, paths = [], [], [], []
    for i, emotion in enumerate(emotions):
        for turn in range(TURNS):
            texts.append(KINDS[emotion][turn % 3] if turn != 1 else None)
            labels.append((emotion,))
            names.append(f"d{i}")
            path = tmp_path / f"{i}-{turn}.wav"
            pitch = 900 if emotion == "joy" else 150
            soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * np.arange(4800) / 16000), 16000)
            paths.append(str(path) if turn != 2 else None)
    rows = corpus_of(texts, labels, dialogue=names, audio=paths)
    trained = manifest.train_manifest(rows, base=word_table, epochs=2, batch_size=8, context=True)
    assert set(trained.model.context.encoder.dims) == {"text", "audio"}
    weights = trained.model.context.state_dict()
    assert all(bool(value.isfinite().all()) for value in weights.values())
