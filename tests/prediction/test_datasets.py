"""Rows of the library `datasets` as input."""

from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch
from datasets import Audio, Dataset, Image
from scipy.io import wavfile

from emoembed.prediction.recognizer import Recognizer
from emoembed.sklearn import EmotionClassifier

LABELS = ["joy", "anger"]
TEXTS = ["so merry", "so cross", "so merry and cross"]


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


@pytest.fixture
def texts():
    return Dataset.from_dict({"text": TEXTS, "label": ["joy", "anger", "joy"]})


def close(found, expected):
    return all(a.scores == pytest.approx(b.scores, abs=1e-6) for a, b in zip(found, expected, strict=True))


def test_a_column_is_a_list_of_items(recognizer, texts):
    expected = recognizer.predict(TEXTS, labels=LABELS)
    assert close(recognizer.predict(texts["text"], labels=LABELS), expected)
    assert close(recognizer.predict(texts[:]["text"], labels=LABELS), expected)
    assert close([recognizer.predict(row["text"], labels=LABELS) for row in texts], expected)
    assert recognizer.encode(texts["text"])["text"].shape[0] == 3


def test_map_adds_answers_to_the_rows(recognizer, texts):
    answered = texts.map(
        lambda rows: {"answer": [result.label for result in recognizer.predict(rows["text"], labels=LABELS)]},
        batched=True,
    )
    assert list(answered["answer"]) == [result.label for result in recognizer.predict(TEXTS, labels=LABELS)]


def test_rows_teach_labels(recognizer, texts):
    taught = recognizer.adapt(texts, labels=["joy", "anger"])
    assert taught.model.state.taught


def test_recordings_and_pictures_in_a_column(recognizer, voice, tmp_path):
    samples = voice()
    wavfile.write(tmp_path / "a.wav", 16_000, samples)
    sounds = Dataset.from_dict({"audio": [str(tmp_path / "a.wav")] * 2}).cast_column("audio", Audio(decode=False))
    expected = recognizer.predict(audio=(samples, 16_000), labels=LABELS)
    assert close(recognizer.predict(audio=sounds["audio"], labels=LABELS), [expected] * 2)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    picture = PIL.Image.fromarray(noise)
    pictures = Dataset.from_dict({"image": [picture]}).cast_column("image", Image())
    expected = recognizer.predict(video=picture, labels=LABELS)  # a small square picture counts as a face
    assert close(recognizer.predict(video=pictures["image"], labels=LABELS), [expected])


def test_a_decoder_of_torchcodec_is_read(recognizer, voice):
    samples = torch.from_numpy(voice())
    decoder = SimpleNamespace(get_all_samples=lambda: SimpleNamespace(data=samples[None], sample_rate=16_000))
    expected = recognizer.predict(audio=(samples.numpy(), 16_000), labels=LABELS)
    assert close([recognizer.predict(audio=decoder, labels=LABELS)], [expected])


def test_the_classifier_takes_a_table_of_rows(texts):
    table = texts.to_pandas()
    classifier = EmotionClassifier(shots=0).fit(table[["text"]], table["label"])
    assert classifier.predict_proba(table[["text"]]).shape == (3, 2)
