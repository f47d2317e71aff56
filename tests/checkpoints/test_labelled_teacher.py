import distil
import labelled_teacher
import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from emoembed.reading import corpus_rows
from emoembed.training import recipes
from emoembed.training.loop import fit

NAMES = ["joy", "anger", "glad, sad", "awe", "joyful"]


@pytest.fixture
def larger(tmp_path, tokenizer, monkeypatch):
    torch.manual_seed(3)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(**size, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64)
    folder = tmp_path / "larger"
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    digest = distil.hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(distil, "CHECKSUM", digest)
    return folder


@pytest.fixture
def rows_of(corpus_of):
    def make(model, split):
        texts = [f"so merry {i}" if i % 2 else f"so cross {i}" for i in range(24)]
        return corpus_rows.text_data(corpus_of(texts, ["joy", "anger"] * 12, split), model.phrases)

    return make


def test_names_of_several_emotions_and_second_names_of_one_are_left_out():
    assert labelled_teacher.different(["joy", "glad, sad", "joyful", "awe", "  ", "Joy"]) == ["joy", "awe"]


def test_answers_are_those_of_the_trained_encoder_and_kept(larger, rows_of, tmp_path, monkeypatch):
    model = labelled_teacher.untrained(larger, None, [])
    rows, valid = rows_of(model, "train"), rows_of(model, "valid")
    config = recipes.training("teacher", epochs=12, batch_size=8, learning_rate=2e-2, bf16=False)
    first = labelled_teacher.answers(model, rows, valid, config, NAMES, tmp_path / "answers.safetensors")
    assert first.names == ("joy", "anger", "awe")
    assert set(first.points) == set(rows.ids)
    assert len(first.label_points) == 3
    similarity = np.stack([first.points[i] for i in rows.ids]).astype(float) @ first.label_points[:2].double().numpy().T
    assert (similarity.argmax(axis=1) == np.arange(24) % 2).mean() > 0.9
    monkeypatch.setattr(labelled_teacher, "fit", lambda *_, **__: pytest.fail("trained again"))
    second = labelled_teacher.answers(model, rows, valid, config, NAMES, tmp_path / "answers.safetensors")
    np.testing.assert_array_equal(second.points[rows.ids[0]], first.points[rows.ids[0]])


def test_a_smaller_encoder_learns_from_the_answers(larger, rows_of, text_model, tmp_path):
    model = labelled_teacher.untrained(larger, None, [])
    config = recipes.training("teacher", epochs=3, batch_size=8, bf16=False)
    file = tmp_path / "answers.safetensors"
    teacher = labelled_teacher.answers(model, rows_of(model, "train"), rows_of(model, "valid"), config, NAMES, file)
    rows = rows_of(text_model, "train")
    config = recipes.training("texts", epochs=2, batch_size=8, bf16=False, imitate=1.0)
    history = fit(text_model, rows, rows_of(text_model, "valid"), config, teacher=teacher)
    assert history.losses[1] < history.losses[0]
