import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks

from emoembed.errors import InputError, LabelError
from emoembed.prediction.recognizer import Recognizer
from emoembed.sklearn import EmotionClassifier

TEXTS = ["so merry a day", "the dog is cross", "what a merry song", "how cross they are"] * 4
CLASSES = ["joy", "anger", "joy", "anger"] * 4
FOR_ALL = (
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
)
"""The checks of scikit-learn that do not fit numbers: an emotion classifier reads texts and media."""


@pytest.fixture
def classifier(three_model, tmp_path):
    Recognizer(three_model).save_pretrained(tmp_path / "model")
    return EmotionClassifier(str(tmp_path / "model"))


def test_it_learns_classes_and_scores_them_in_their_order(classifier):
    fitted = classifier.fit(TEXTS, CLASSES)
    assert fitted is classifier
    assert list(classifier.classes_) == ["anger", "joy"]
    shares = classifier.predict_proba(TEXTS[:3])
    assert shares.shape == (3, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    answers = classifier.predict(TEXTS[:3])
    assert list(answers) == [classifier.classes_[column] for column in shares.argmax(axis=1)]
    assert classifier.score(TEXTS[:3], answers) == 1.0


def test_a_table_gives_any_of_text_audio_and_video(classifier, voice):
    table = pd.DataFrame({"text": TEXTS[:4], "audio": [(voice(), 16_000), None] * 2, "id": range(4)})
    shares = classifier.fit(table, CLASSES[:4]).predict_proba(table)
    both = classifier.recognizer_.predict(TEXTS[0], (voice(), 16_000), labels=["anger", "joy"])
    assert shares[0] == pytest.approx([both.scores["anger"], both.scores["joy"]], abs=1e-5)


def test_without_shots_classes_are_recognised_by_name(classifier):
    by_name = clone(classifier).set_params(shots=0).fit(TEXTS, CLASSES)
    assert not by_name.recognizer_.model.state.taught
    two = clone(classifier).set_params(shots=2).fit(TEXTS, CLASSES)
    assert two.recognizer_.model.state.taught["joy"] == {"text": 2}


def test_a_description_is_used(classifier):
    plain = clone(classifier).set_params(shots=0).fit(TEXTS, CLASSES).predict_proba(TEXTS[:1])
    described = clone(classifier).set_params(shots=0, descriptions={"joy": "a cross dog"})
    assert not np.allclose(described.fit(TEXTS, CLASSES).predict_proba(TEXTS[:1]), plain)


def test_it_can_be_cross_validated(classifier):
    assert cross_val_score(classifier, np.array(TEXTS, dtype=object), CLASSES, cv=2).shape == (2,)


@pytest.mark.parametrize(
    ("items", "classes", "message"),
    [
        (TEXTS[:2], CLASSES[:3], "X has 2 items and y has 3 labels"),
        ([], [], "X has 0 items"),
        ("one text", ["joy"], "X is a table, or a list of texts; given str"),
        ([1.0, 2.0], ["joy", "anger"], "X is a table with text, audio or video, or a list of texts; given 1.0"),
        (pd.DataFrame({"words": ["a"]}), ["joy"], "needs any of the columns text, audio and video; it has words"),
        (TEXTS[:2], [0, 1], "a class is the name of an emotion; given 0"),
    ],
)
def test_wrong_data_is_named(classifier, items, classes, message):
    with pytest.raises(InputError, match=message):
        classifier.fit(items, classes)


@pytest.mark.parametrize("shots", [-1, "2", 1.5, True])
def test_a_wrong_number_of_shots_is_named(classifier, shots):
    with pytest.raises(InputError, match="shots must be a whole number of at least 0, or None for all examples"):
        classifier.set_params(shots=shots).fit(TEXTS, CLASSES)


@pytest.mark.parametrize("shots", [0, None])
def test_two_classes_of_one_emotion_are_refused_when_they_are_learned(classifier, shots):
    with pytest.raises(LabelError, match="'happiness' and 'joy' are the same emotion"):
        classifier.set_params(shots=shots).fit(TEXTS[:3], ["joy", "anger", "happiness"])


def test_it_must_be_fitted_first(classifier):
    with pytest.raises(NotFittedError):
        classifier.predict(TEXTS)


@pytest.mark.parametrize("check", FOR_ALL, ids=lambda check: check.__name__)
def test_the_checks_of_scikit_learn_that_need_no_numbers_pass(check):
    check("EmotionClassifier", EmotionClassifier())
