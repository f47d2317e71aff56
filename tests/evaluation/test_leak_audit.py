import numpy as np
import pandas as pd
import pytest

from emoembed.corpora import feature_names
from emoembed.errors import LabelError
from emoembed.evaluation import leak_audit
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.study import Study
from emoembed.reading.rows import EmotionData


@pytest.fixture
def fold(stand_in, text_model, tmp_path):
    return Study("mosei", stand_in("mosei", "csd"), text_model, cache=tmp_path, protocol="mosei-6").folds[0]


def test_emotion_scores_are_left_out_by_default_and_said(fold):
    assert not set(fold.modalities["video"].columns) & set(feature_names.FACET[:10])
    assert next(iter(fold.train.inputs["video"].values())).shape[1] == 25
    said = leak_audit.audit(fold, ["fear"]).lines()
    assert said[0].startswith("video: 10 columns are emotion scores and left out: Anger, Contempt")


def test_their_effect_can_be_shown_and_is_called_a_leak(stand_in, text_model, tmp_path):
    kept = Study(
        "mosei", stand_in("mosei", "csd"), text_model, cache=tmp_path, protocol="mosei-6", drop_emotion_columns=False
    ).folds[0]
    assert kept.modalities["video"].columns == feature_names.FACET
    assert leak_audit.audit(kept, ["fear"], dropped=False).lines()[0].startswith("LEAK video: the model reads")


def test_a_synonym_left_in_training_is_refused(toy):
    rows = toy(labels=("fear", "dread", "joy"))
    with pytest.raises(LabelError, match="dread is a synonym of fear"):
        leak_audit.audit(Fold("toy", "sequence", rows, rows, rows, {}), ["fear"])


def test_the_probe_sees_preprocessing_and_nothing_else():
    generator = np.random.default_rng(0)
    bears = np.arange(120) % 3 == 0

    def rows(cut):
        lengths = generator.integers(8, 12, 120) - cut * bears
        # the values say which rows bear the label; the probe must not look at them
        store = {f"r{i}": np.full((n, 2), 1.0 + 5 * bears[i]) for i, n in enumerate(lengths)}
        targets = np.stack([bears, ~bears], axis=1).astype(np.float32)
        return EmotionData(tuple(store), {"video": store}, ("joy", "anger"), targets, np.zeros(120, bool))

    honest, cut = (Fold("toy", "sequence", part, part, part, {}) for part in (rows(0), rows(2)))
    assert leak_audit.audit(honest, ["joy"]).probes["joy"] < 0.65
    audit = leak_audit.audit(cut, ["joy"])
    assert audit.probes["joy"] > leak_audit.SUSPICIOUS
    assert audit.lines()[-1].endswith("lengths alone predict it, so its zero-shot result may be inflated")
    few = Fold("toy", "sequence", *[rows(0).rows(np.arange(12))] * 3, {})
    assert leak_audit.audit(few, ["joy"]).lines()[-1].endswith("too few rows")


def test_a_corpus_is_audited_before_it_is_evaluated(manifest, text_model):
    lines = leak_audit.audit_study(Study(str(manifest), manifest.parent, text_model, unseen="each", split="test"))
    assert lines[0] == "no training label is a synonym of an unseen one"
    assert [line.split(":")[0] for line in lines[1:]] == [
        f"probe of lengths and gaps for {label}" for label in ("anger", "fear", "joy", "sadness")
    ]
    table = pd.read_csv(manifest)
    table["labels"] = table["labels"].replace("sadness", "dread")
    table.to_csv(manifest, index=False)
    with pytest.raises(LabelError, match="dread is a synonym of fear"):
        leak_audit.audit_study(Study(str(manifest), manifest.parent, text_model, unseen="fear"))
