import pytest
import torch
from torch.nn.functional import normalize

import emoembed
from emoembed import metrics
from emoembed.errors import InputError
from emoembed.labels.emotion import Label, find
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.background import fit_background
from emoembed.training.ridge_maps import prepare
from emoembed.transfer import few_shot


@pytest.fixture
def video(units_model, toy):
    """A modality whose statistics were fitted on 300 items."""
    prepare(units_model, toy())
    fit_background(units_model, toy(300, 1))
    return units_model.modality("video")


@pytest.fixture
def word(units_model):
    return units_model.label_points(["awe"])["video"][0].detach()


def cluster(video, rows, seed=0, noise=0.3):
    """Items around one point that is near no label in particular."""
    draw = torch.Generator().manual_seed(seed)
    centre = torch.randn(video.point_dim, generator=torch.Generator().manual_seed(5))
    return normalize(centre + noise * torch.randn(rows, video.point_dim, generator=draw), dim=1)


@torch.no_grad()
def logits(video, taught, items):
    """Logits of a taught label for items."""
    order = ["awe"]
    video.teach({"awe": taught}, {"awe": items[:1]}, order)
    return video.score(items, taught.anchor[None])[:, 0]


def learned(video, word, examples, half=4.0, rivals=None, familiarity=1.0):
    with torch.no_grad():
        return few_shot.learn(video, word, examples, video.background, half, rivals, familiarity)


def test_items_as_near_as_the_examples_keep_their_level_and_others_lose(video, word):
    examples, alike = cluster(video, 12), cluster(video, 400, seed=1)
    reference = video.calibration.reference[video.calibration.reference.any(dim=1)]
    with torch.no_grad():
        by_word = video.score(examples, word[None])[:, 0].mean()
        before = video.score(reference, word[None])[:, 0]
    taught = learned(video, word, examples)
    spread = before.std()
    assert float((logits(video, taught, alike).mean() - by_word).abs() / spread) < 0.3
    assert float(logits(video, taught, reference).mean() - before.mean()) < 0


def test_the_spread_of_scores_stays(video, word):
    reference = video.calibration.reference[video.calibration.reference.any(dim=1)]
    before = video.score(reference, word[None])[:, 0].std().detach()
    for count in (1, 4, 16):
        after = logits(video, learned(video, word, cluster(video, count)), reference).std()
        torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


def test_more_examples_tell_items_like_them_better_from_others(video, word):
    reference, alike = video.calibration.reference[:100], cluster(video, 100, seed=1)
    items, own = torch.cat([alike, reference]), torch.arange(200) < 100
    aucs = [
        metrics.auc(logits(video, learned(video, word, cluster(video, count)), items).numpy(), own.numpy())
        for count in (1, 4, 32)
    ]
    assert aucs == sorted(aucs)
    assert aucs[-1] > 0.95


def test_without_weight_the_score_is_that_of_the_word(video, word):
    items = cluster(video, 9, seed=2)
    before = video.score(items, word[None])[:, 0].detach()
    after = logits(video, learned(video, word, cluster(video, 5), half=1e9), items)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


def test_a_word_that_means_nothing_leaves_the_order_to_the_examples(video, word):
    reference = video.calibration.reference[video.calibration.reference.any(dim=1)]
    examples = cluster(video, 5)
    scores = [
        logits(video, learned(video, name, examples, familiarity=0.0), reference)
        for name in (word, normalize(torch.ones_like(word), dim=0))
    ]
    assert float(torch.corrcoef(torch.stack(scores))[0, 1]) > 0.999
    for name, label_scores in zip((word, normalize(torch.ones_like(word), dim=0)), scores, strict=True):
        usual = video.score(reference, name[None])[:, 0].std().detach()
        torch.testing.assert_close(label_scores.std(), usual, rtol=1e-3, atol=1e-3)


def test_examples_decide_for_a_name_that_the_model_does_not_know():
    """Also if some of the examples are taught later, when the name is no longer unknown."""
    base = emoembed.load("base")
    texts = ("Chills ran down my back when the choir came in.", "That last chord gave me goosebumps.")
    rows = [{"text": text, "label": "xqzzy"} for text in texts]
    new, labels = "The drums made the hair on my arms rise.", ["xqzzy", "joy", "boredom"]
    scores = [model.predict(new, labels=labels).scores["xqzzy"] for model in (base, base.adapt(rows))]
    assert scores[1] > scores[0] + 0.1
    later = base.adapt(rows[:1]).adapt(rows[1:]).predict(new, labels=labels).scores["xqzzy"]
    assert later == pytest.approx(scores[1], abs=0.02)


def test_a_taught_label_keeps_the_calibration_of_its_word(video, word):
    taught = learned(video, word, cluster(video, 5))
    by_word = video.trust(word[None])
    video.teach({"awe": taught}, {"awe": cluster(video, 5)}, ["awe"])
    trust = video.trust(torch.stack([taught.anchor, word]))
    torch.testing.assert_close(trust.sigmoid.offset, by_word.sigmoid.offset.expand(2))
    torch.testing.assert_close(trust.weight, by_word.weight.expand(2))
    torch.testing.assert_close(trust.hubness[1], by_word.hubness[0])
    torch.testing.assert_close(trust.hubness[0], by_word.hubness[0] - taught.level)


def test_a_word_that_says_nothing_of_the_examples_gets_a_moderate_level(video, units_model):
    rivals = units_model.label_points(["joy", "anger", "sadness"])["video"].detach()
    examples = cluster(video, 20)
    against = normalize(-examples.mean(dim=0), dim=0)
    of_rivals = video.score(examples, rivals).detach()
    taught = learned(video, against, examples, rivals=rivals)
    level = logits(video, taught, cluster(video, 400, seed=1)).mean()
    goal = (of_rivals.mean(dim=1) + few_shot.FIT * of_rivals.std(dim=1)).mean()
    assert float((level - goal).abs()) < 0.3
    assert float(level) > video.score(examples, against[None]).mean().item() + 1


def test_what_all_taught_labels_share_is_no_evidence(video):
    shared = normalize(torch.randn(video.point_dim), dim=0)
    groups = [normalize(cluster(video, 10, seed) + 3 * shared, dim=1) for seed in range(2)]
    alone, together = few_shot.centre_of(video, groups[:1]), few_shot.centre_of(video, groups)
    torch.testing.assert_close(alone, video.background)
    assert float(together @ shared) > float(alone @ shared) + 0.2


def test_a_description_taught_with_holds_where_the_name_alone_is_given(three_model, tmp_path):
    recognizer, rows = Recognizer(three_model), [{"text": "so vast", "label": "awe"}, {"text": "oh my", "label": "awe"}]
    definitions = {"awe": {"definition": "anger at the sky", "sounds": "loud"}}
    recognizer.adapt(rows[:1], definitions).save_pretrained(tmp_path / "one")
    taught = Recognizer.from_pretrained(tmp_path / "one")
    at_once, later = recognizer.adapt(rows, definitions).model, taught.adapt(rows[1:]).model
    torch.testing.assert_close(at_once.modality("text").anchors, later.modality("text").anchors)
    assert not torch.allclose(later.modality("text").anchors, recognizer.adapt(rows).model.modality("text").anchors)
    bare, described = (taught.model.label_points(labels)["audio"] for labels in (["awe"], definitions))
    torch.testing.assert_close(bare, described)
    assert not torch.allclose(bare, recognizer.model.label_points(["awe"])["audio"])
    other = taught.model.label_points({"awe": "a small fish"})
    assert not torch.allclose(other["audio"], bare)
    torch.testing.assert_close(other["text"], taught.model.label_points(["awe"])["text"])


def test_further_examples_join_those_taught_before(recognizer, tmp_path):
    rows = [{"text": text, "label": "awe"} for text in ("so vast", "speechless there", "the whole sky", "oh my")]
    at_once = recognizer.adapt(rows).model.modality("text")
    recognizer.adapt(rows[:3]).save_pretrained(tmp_path / "three")
    later = Recognizer.from_pretrained(tmp_path / "three").adapt(rows[3:])
    torch.testing.assert_close(later.model.modality("text").anchors, at_once.anchors, rtol=0, atol=5e-3)
    torch.testing.assert_close(later.model.modality("text").levels, at_once.levels, rtol=0, atol=2e-2)
    both = later.adapt([{"text": "go away", "label": "anger"}]).model
    assert both.state.taught == {"awe": {"text": 4}, "anger": {"text": 1}}
    assert both.modality("text").examples_of("awe").shape == (4, recognizer.model.config.modalities["text"].point_dim)
    torch.testing.assert_close(both.modality("text").examples_of("anger")[0], both.modality("text").examples[4])


def test_a_taught_label_joins_those_scored_by_default(recognizer):
    assert recognizer.adapt(SUPPORT).labels == (*recognizer.labels, "nostalgia")


def test_a_row_may_teach_several_labels(recognizer):
    both = recognizer.adapt([{"text": "those were the days", "label": ["nostalgia", "awe"]}])
    assert tuple(both.model.state.taught) == ("nostalgia", "awe")
    assert both.model.state.taught == {"nostalgia": {"text": 1}, "awe": {"text": 1}}


@pytest.fixture
def recognizer(text_model):
    return Recognizer(text_model)


SUPPORT = [{"text": "those were the days", "label": "nostalgia"}, {"text": "as we used to do", "label": "nostalgia"}]


def test_only_the_taught_label_moves(recognizer):
    labels = ["joy", "anger", "nostalgia"]
    before = recognizer.model.label_points(labels)["text"]
    taught = recognizer.adapt(SUPPORT)
    after = taught.model.label_points(labels)["text"]
    torch.testing.assert_close(after[:2], before[:2])
    assert not torch.allclose(after[2], before[2])
    torch.testing.assert_close(recognizer.model.label_points(labels)["text"], before)


def test_an_adapted_model_saves_and_teaches_further(recognizer, tmp_path):
    taught = recognizer.adapt(SUPPORT)
    taught.save_pretrained(tmp_path / "mine")
    again = Recognizer.from_pretrained(tmp_path / "mine")
    assert tuple(again.model.state.taught) == ("nostalgia",)
    assert "nostalgia (2 text)" in (tmp_path / "mine/README.md").read_text()
    torch.testing.assert_close(
        again.model.modality("text").anchors, taught.model.modality("text").anchors, rtol=1e-2, atol=1e-2
    )
    more = again.adapt([{"text": "whatever next", "label": "awe"}])
    assert tuple(more.model.state.taught) == ("nostalgia", "awe")
    torch.testing.assert_close(more.model.modality("text").anchors[0], again.model.modality("text").anchors[0])


@pytest.mark.parametrize(
    ("support", "labels", "said"),
    [
        ([], None, "the support is empty"),
        ([{"text": "x"}], None, "row 0 of the support has no label; .* under 'label'; it has text"),
        ([{"text": "x", "label": 3}], None, "its label is 3"),
        (["abc"], None, r"a row of the support is a dictionary .* given 'abc'"),
        ([{"text": "x", "label": "awe"}], ["joy"], "teaches awe, which labels does not name"),
        ([{"text": "x", "label": "awe", "sound": "a.wav"}], None, "row 0 of the support has sound"),
    ],
)
def test_bad_support_is_told(recognizer, support, labels, said):
    with pytest.raises(InputError, match=said):
        recognizer.adapt(support, labels)


@pytest.mark.parametrize(
    ("named", "taught", "meant"),
    [
        ("saudade", {"saudade": Label("longing", definition="for what is far")}, "longing"),
        ("saudade", {"saudade": Label("longing")}, "longing"),
        ("joy", [Label("Happy", definition="mine alone")], "Happy"),
        ("saudade", {"Saudade ": "a longing"}, "saudade"),
    ],
)
def test_a_description_is_found_again_by_the_name_it_was_taught_under(recognizer, named, taught, meant):
    mine = recognizer.adapt([{"text": "we made it", "label": named}], taught).model
    assert mine.resolve_labels([named])[named].name == meant
    assert mine.resolve_labels(["longing"])["longing"] == find("longing")
