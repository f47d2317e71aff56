"""One model, asked by many at once: answers are those of one after the other."""

import copy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import emoembed
from emoembed.cache import Cache, content_of
from emoembed.labels.emotion import Label
from emoembed.model.device import require_no_fork
from emoembed.prediction.recognizer import Recognizer


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


def test_eight_threads_predict_adapt_and_attune_as_one_would(recognizer, voice):
    def sound(seed):
        return voice(0.5, 150 + 10 * seed, seed), 16_000

    def asked(seed):
        labels = ["joy", f"feeling{'abcdefgh'[seed]}", f"mood{'hgfedcba'[seed]}"]
        return recognizer.predict(f"we made it, {'well ' * seed}", sound(seed), labels=labels).scores

    def taught(seed):
        mine = recognizer.adapt([{"text": "oh well " * (seed + 1), "label": "pride"}])
        return mine.predict("we did", labels=["joy", "pride"]).scores

    def at_home(seed):
        mine = recognizer.attune(audio=[sound(seed + i) for i in range(5)])
        return mine.predict(audio=sound(0), labels=["joy", "anger"]).scores

    work = [(kind, seed) for seed in range(8) for kind in (asked, taught, at_home)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: one[0](one[1]), work * 2))
    alone = [kind(seed) for kind, seed in work]
    for answer, expected in zip(together, alone * 2, strict=True):
        assert answer == pytest.approx(expected, abs=1e-5)


def test_a_cache_is_bounded_and_lets_go_of_what_was_not_asked_for():
    cache = Cache(2)
    for key in "ab":
        cache.put(key, key.upper())
    assert cache.get("a") == "A"
    cache.put("c", "C")
    assert (len(cache), cache.get("b"), cache.get("a"), cache.get("c")) == (2, None, "A", "C")


@pytest.mark.parametrize("change", ["describe", "weights", "space"])
def test_a_model_that_changed_gives_its_new_answer_whatever_was_asked_before(recognizer, change):
    labels = ["joy", "awe"]
    before = recognizer.predict("we made it", labels=labels).scores
    model = recognizer.model
    if change == "describe":
        awe = Label("awe", definition="a very bad day", valence=-1.0, arousal=1.0, dominance=-1.0)
        model.state = model.state.with_described({"awe": awe})
    elif change == "weights":
        with torch.no_grad():
            model.modality("text").log_scale.add_(1.0)
    else:
        with torch.no_grad():
            model.space.centre.add_(0.3)
    after = recognizer.predict("we made it", labels=labels).scores
    assert after != before
    assert Recognizer(model).predict("we made it", labels=labels).scores == after
    assert recognizer.predict("we made it", labels=labels[::-1]).scores == pytest.approx(after)


def test_what_load_gives_is_the_callers_own():
    mine, other = emoembed.load("base"), emoembed.load("base")
    awe = Label("awe", valence=-1.0, arousal=-1.0, dominance=-1.0)
    mine.model.state = mine.model.state.with_described({"awe": awe})
    assert other.model.state.described == {}
    assert mine.predict("wow", labels=["awe", "joy"]).scores != other.predict("wow", labels=["awe", "joy"]).scores


def test_a_fork_after_a_prediction_is_told_and_does_not_hang():
    code = """
import os, sys, torch, emoembed
torch.set_num_threads(2)
emoembed.predict("we made it", labels=["joy", "anger"])
child = os.fork()
if not child:
    try:
        emoembed.predict("we made it", labels=["joy", "anger"])
    except ValueError as error:
        print(error, flush=True)
    torch.set_num_threads(1)
    print(emoembed.predict("we made it", labels=["joy", "anger"]).label, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    told, label = done.stdout.splitlines()
    assert "this process was forked from a process in which emoembed had computed" in told
    assert label in ("joy", "anger")


def test_a_fork_is_told_and_does_not_hang_whatever_it_asks_of_a_model(tmp_path):
    code = f"""
import os, sys, numpy as np, torch, emoembed
from emoembed.prediction.describe import describe_label
from emoembed.prediction.manifests.scoring import predict_manifest
torch.set_num_threads(2)
folder = {str(tmp_path)!r}
model = emoembed.load("base")
model.predict(["we made it"] * 64, labels=["joy", "anger"])
with open(folder + "/rows.csv", "w") as rows:
    rows.write("text\\nso happy\\n")
rare = [f"odd feeling number {{i}} of an evening" for i in range(8)]
calls = [
    lambda: emoembed.load("base"),
    lambda: emoembed.predict("we made it", labels=rare),
    lambda: predict_manifest(model, folder + "/rows.csv", rare, folder + "/scores.csv"),
    lambda: describe_label(model.model, "a long quiet evening by the sea"),
    lambda: model.predict_dialogue([{{"text": "hi"}}], labels=rare),
    lambda: model.timeline((np.ones(32000, "f4") * 0.1, 16000), labels=rare),
    lambda: model.model.embed(rare),
    lambda: model.save_pretrained(folder + "/saved"),
]
child = os.fork()
if not child:
    for call in calls:
        try:
            call()
        except ValueError as error:
            print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=100)
    told = done.stdout.splitlines()
    assert len(told) == 8, done.stderr
    assert all("this process was forked from a process in which emoembed had computed" in line for line in told)


def test_a_copy_of_a_cache_goes_its_own_way():
    cache = Cache(2)
    cache.put("a", "A")
    copied = copy.deepcopy(cache)
    copied.put("b", "B")
    assert (copied.get("a"), cache.get("b"), len(cache)) == ("A", None, 1)


def test_the_hash_of_a_models_numbers_tells_the_smallest_change():
    vector = torch.tensor([1.0, 2.0])
    assert content_of([vector]) == content_of([vector.clone()])
    assert content_of([vector]) != content_of([vector + torch.tensor([1e-6, 0.0])])


def test_a_process_that_computed_in_several_threads_may_do_so_again():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in range(3):
            require_no_fork()
    finally:
        torch.set_num_threads(before)
