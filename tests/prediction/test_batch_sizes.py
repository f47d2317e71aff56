"""Batches by their frames, reading ahead for a GPU, and bfloat16. There is no GPU here: its memory is imitated."""

import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import emoembed
from emoembed.errors import InputError
from emoembed.interfaces.options import PrecisionOptions
from emoembed.model.device import moved
from emoembed.prediction import batch_sizes
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.items import Item

LABELS = ["joy", "anger"]


def items(lengths):
    return [Item({"text": SimpleNamespace(values=np.zeros((length, 1)))} if length else {}) for length in lengths]


def test_a_batch_has_room_for_its_padding_and_an_item_alone_always_fits(text_model, monkeypatch):
    monkeypatch.setattr(batch_sizes, "FRAMES", {"text": 20})
    divided = list(batch_sizes.fitting(text_model, items([3, 4, 5, 6, 30, 0, 2])))
    assert [[len(i.readings["text"].values) if i.readings else 0 for i in batch] for batch in divided] == [
        [3, 4, 5],
        [6],
        [30],
        [0, 2],
    ]
    assert list(batch_sizes.fitting(text_model, [])) == []


def test_a_small_room_changes_no_answer(text_model, monkeypatch):
    recognizer, texts = Recognizer(text_model), ["so merry", "cross " * 9, "so", "irate and cross", None]
    before = recognizer.predict(texts, labels=LABELS, errors="skip")
    monkeypatch.setattr(batch_sizes, "FRAMES", {"text": 10})
    after = recognizer.predict(texts, labels=LABELS, errors="skip")
    assert [result.scores for result in after] == [pytest.approx(result.scores, abs=1e-6) for result in before]
    assert after[4].label is None


def test_the_free_memory_of_a_gpu_sets_the_room(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**32, 2**36))
    room = batch_sizes.room_of(torch.device("cuda"))
    assert room == {"text": 2**15, "audio": 2**16, "video": 2**10}
    assert batch_sizes.room_of(torch.device("cpu")) == batch_sizes.FRAMES


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_reading_ahead_keeps_the_order_and_the_errors(device):
    def read(number):
        if number == 3:
            raise InputError("three is wrong")
        return number

    given = batch_sizes.ahead((partial(read, number) for number in range(5)), torch.device(device))
    assert [next(given) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="three is wrong"):
        next(given)


def test_for_a_gpu_the_next_batch_is_read_while_one_is_computed():
    second = threading.Event()
    given = batch_sizes.ahead(iter([lambda: 1, lambda: second.set() or 2]), torch.device("cuda"))
    assert next(given) == 1
    assert second.wait(10)
    assert list(given) == [2]


def test_a_tensor_for_a_gpu_is_pinned(monkeypatch):
    asked = []
    tensor = SimpleNamespace(pin_memory=lambda: asked.append("pinned") or tensor, to=lambda *a, **b: asked.append(b))
    moved(tensor, torch.device("cuda"))
    assert asked == ["pinned", {"non_blocking": True}]
    assert moved(torch.ones(2), torch.device("cpu")).tolist() == [1.0, 1.0]


def test_bf16_changes_scores_slightly_and_only_in_encoders(text_model):
    recognizer = Recognizer(text_model)
    before = recognizer.predict("so merry", labels=LABELS).scores
    points = text_model.label_points(LABELS)["text"]
    text_model.bf16 = True
    after = recognizer.predict("so merry", labels=LABELS).scores
    assert after != before
    assert after == pytest.approx(before, abs=0.05)
    assert recognizer.encode("so merry")["text"].dtype == np.float32
    torch.testing.assert_close(text_model.label_points(LABELS)["text"], points, rtol=0, atol=0)


def test_the_option_loads_bf16_and_wrong_values_are_refused():
    assert PrecisionOptions(precision="bf16").load().model.bf16
    assert not PrecisionOptions().load().model.bf16
    with pytest.raises(InputError, match="precision is 'fp32' or 'bf16'; given 'fp16'"):
        emoembed.load("base", precision="fp16")
    with pytest.raises(InputError, match="needs torch; leave out backend='onnx'"):
        emoembed.load("base", precision="bf16", backend="onnx")
