import pandas as pd
import pytest

from emoembed.errors import InputError, LabelError
from emoembed.evaluation.folds import parse_unseen
from emoembed.evaluation.study import Study


def test_a_fold_holds_the_manifests_own_splits(manifest, text_model):
    (fold,) = Study(str(manifest), manifest.parent, text_model).folds
    assert (fold.kind, len(fold.train), len(fold.valid), len(fold.test)) == ("text", 48, 24, 24)
    assert not set(fold.train.ids) & set(fold.valid.ids) | set(fold.valid.ids) & set(fold.test.ids)


def test_unseen_takes_names_in_any_spelling_or_each():
    labels = ("joy", "surprise", "disgust", "fear")
    assert parse_unseen("surprised, happy", labels) == [("surprise", "joy")]
    assert parse_unseen("each", labels) == [("joy",), ("surprise",), ("disgust",), ("fear",)]
    assert parse_unseen("joy, happy,", labels) == [("joy",)]


@pytest.mark.parametrize(
    ("unseen", "says"),
    [
        ("awe", "awe cannot be held out: the corpus annotates joy"),
        ("joy,fear", "leaves fewer than two to train on"),
        (" ,", "no emotion to hold out was named"),
    ],
)
def test_what_cannot_be_held_out_is_refused(unseen, says):
    with pytest.raises(LabelError, match=says):
        parse_unseen(unseen, ("joy", "fear", "anger"))
    with pytest.raises(LabelError, match="holding out each of joy, fear in turn leaves fewer than two"):
        parse_unseen("each", ("joy", "fear"))


def test_rows_to_choose_on_and_folds_that_are_there_are_asked_for_before_training(manifest, text_model):
    with pytest.raises(InputError, match=r"has 1 fold\(s\), numbered from 0; given 9"):
        _ = Study(str(manifest), manifest.parent, text_model, fold=9).folds
    pd.read_csv(manifest).drop(columns="split").to_csv(manifest, index=False)
    with pytest.raises(InputError, match=r"has no valid rows with features; its column split has to name"):
        _ = Study(str(manifest), manifest.parent, text_model).folds
