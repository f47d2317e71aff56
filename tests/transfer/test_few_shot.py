import pytest
import torch
from torch.nn.functional import normalize

from emoembed.errors import InputError
from emoembed.labels.emotion import Label, find
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.background import fit_background
from emoembed.training.ridge_maps import prepare
from emoembed.transfer import few_shot


def test_shrinkage_goes_from_the_word_to_the_examples():
    word, background = normalize(torch.randn(8), dim=0), torch.zeros(8)
    examples = normalize(torch.randn(1, 8).repeat(50, 1) + 0.1 * torch.randn(50, 8), dim=1)
    goal = normalize(examples.mean(dim=0), dim=0)
    nearness = [float(few_shot.shrink(word, examples[:k], background, 4.0) @ goal) for k in (1, 4, 16, 50)]
    assert nearness == sorted(nearness)
    torch.testing.assert_close(few_shot.shrink(word, examples, background, 1e9), word, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(few_shot.shrink(word, examples, background, 1e-9), goal, rtol=1e-4, atol=1e-4)


def test_examples_that_differ_much_weigh_less():
    draw = torch.Generator().manual_seed(0)
    word, goal = normalize(torch.randn(8, generator=draw), dim=0), normalize(torch.randn(8, generator=draw), dim=0)
    away = torch.randn(6, 8, generator=draw)
    away = away - away.mean(dim=0)
    near = [
        float(few_shot.shrink(word, goal + width * away, torch.zeros(8), 4.0, spread=1.0) @ goal)
        for width in (0.1, 1.0, 3.0)
    ]
    assert near[0] > near[1] > near[2]


def test_examples_say_how_they_differ_from_items_in_general():
    word, background = normalize(torch.randn(8), dim=0), torch.randn(8)
    examples = background + 0.1 * torch.randn(5, 8)
    goal = normalize(examples.mean(dim=0) - background, dim=0)
    torch.testing.assert_close(few_shot.shrink(word, examples, background, 1e-6), goal, rtol=1e-4, atol=1e-4)
    detailed = few_shot.shrink(word, examples, background, 1e-6, residual=3)
    for part in (slice(0, 5), slice(5, 8)):
        apart = normalize(examples.mean(dim=0)[part] - background[part], dim=0)
        torch.testing.assert_close(normalize(detailed[part], dim=0), apart, rtol=1e-4, atol=1e-4)


def test_what_no_word_says_counts_by_how_many_examples_say_it():
    word, examples = torch.zeros(8), torch.randn(1, 8).repeat(32, 1)
    counted = [
        float(few_shot.shrink(word, examples[:k], torch.zeros(8), 8.0, residual=3)[5:].norm()) for k in (1, 8, 32)
    ]
    assert counted == pytest.approx(
        [few_shot.RESIDUAL_WEIGHT * k / (k + few_shot.RESIDUAL_SHRINKAGE) for k in (1, 8, 32)]
    )


@pytest.fixture
def awe_by_example(units_model, toy):
    """`awe_by_example(**settings)` -> where awe lies, taught by sixteen items; its word; the mean of the examples."""
    prepare(units_model, toy())
    fit_background(units_model, toy(300, 1))
    word = units_model.label_points(["awe"])["video"][0].detach()
    rivals = units_model.label_points(["joy", "anger"])["video"].detach()
    examples = units_model.modality("video").calibration.reference[:16].clone()

    def teach(**settings):
        awe, others = {"awe": {"video": examples}}, {"video": rivals}
        return (
            few_shot.adapt(units_model, awe, {"awe": {"video": word}}, others=others, **settings)
            .modality("video")
            .anchors[0]
        )

    return teach, word, normalize(examples.mean(dim=0) - units_model.modality("video").background, dim=0)


def test_the_callers_shrinkage_and_the_spread_of_labels_decide_how_far_a_label_moves(awe_by_example, units_model):
    teach, word, goal = awe_by_example
    torch.testing.assert_close(teach(shrinkage={"video": 1e9}), word, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(teach(shrinkage={"video": 1e-9}), goal, rtol=1e-4, atol=1e-4)
    usual = units_model.modality("video").calibration.spread
    usual.mul_(100.0)  # where labels are wide sixteen examples that agree say the more
    agreed = float(teach() @ goal)
    usual.div_(1e4)
    assert agreed > float(teach() @ goal) + 0.01


def test_a_long_fine_tune_stays_where_examples_put_the_label(awe_by_example):
    teach, *_ = awe_by_example
    plain = teach()
    assert float(plain @ teach(steps=300, max_harm=1.0)) > 0.5


def test_a_fine_tune_wins_over_no_more_items_of_others_than_allowed(units_model, toy):
    prepare(units_model, toy())
    fit_background(units_model, toy(300, 1))
    word = units_model.label_points(["awe"])["video"][0].detach()
    rivals = units_model.label_points(["joy", "anger"])["video"].detach()
    reference = units_model.modality("video").calibration.reference
    examples = reference[:16].clone()
    shares = []
    for bound in (1.0, 0.0):
        taught = few_shot.adapt(
            units_model,
            {"awe": {"video": examples}},
            {"awe": {"video": word}},
            steps=100,
            max_harm=bound,
            others={"video": rivals},
        )
        shares.append(few_shot.won(units_model, "video", taught.modality("video").anchors, rivals, reference))
    plain = few_shot.adapt(units_model, {"awe": {"video": examples}}, {"awe": {"video": word}})
    assert shares[0] > shares[1] + 0.02
    assert shares[1] <= few_shot.won(units_model, "video", plain.modality("video").anchors, rivals, reference)


def test_a_description_taught_with_holds_where_the_name_alone_is_given(three_model, tmp_path):
    recognizer, rows = Recognizer(three_model), [{"text": "so vast", "label": "awe"}, {"text": "oh my", "label": "awe"}]
    said = {"awe": {"definition": "anger at the sky", "sounds": "loud"}}
    recognizer.adapt(rows[:1], said).save_pretrained(tmp_path / "one")
    taught = Recognizer.from_pretrained(tmp_path / "one")
    at_once, later = recognizer.adapt(rows, said).model, taught.adapt(rows[1:]).model
    torch.testing.assert_close(at_once.modality("text").anchors, later.modality("text").anchors)
    assert not torch.allclose(later.modality("text").anchors, recognizer.adapt(rows).model.modality("text").anchors)
    bare, described = (taught.model.label_points(labels)["audio"] for labels in (["awe"], said))
    torch.testing.assert_close(bare, described)
    assert not torch.allclose(bare, recognizer.model.label_points(["awe"])["audio"])
    other = taught.model.label_points({"awe": "a small fish"})
    assert not torch.allclose(other["audio"], bare)
    torch.testing.assert_close(other["text"], taught.model.label_points(["awe"])["text"])


def test_further_examples_join_those_taught_before(recognizer, tmp_path):
    rows = [{"text": text, "label": "awe"} for text in ("so vast", "speechless there", "the whole sky", "oh my")]
    at_once = recognizer.adapt(rows).model
    recognizer.adapt(rows[:3]).save_pretrained(tmp_path / "three")
    later = (
        Recognizer.from_pretrained(tmp_path / "three").adapt([*rows[3:], {"text": "go away", "label": "anger"}]).model
    )
    torch.testing.assert_close(
        later.modality("text").anchors[0], at_once.modality("text").anchors[0], rtol=0, atol=2e-3
    )
    assert later.state.taught == {"awe": {"text": 4}, "anger": {"text": 1}}
    assert later.modality("text").examples_of("awe").shape == (4, recognizer.model.config.modalities["text"].point_dim)
    torch.testing.assert_close(later.modality("text").examples_of("anger")[0], later.modality("text").examples[4])


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


@pytest.mark.parametrize("steps", [0, 5])
def test_only_the_taught_label_moves(recognizer, steps):
    labels = ["joy", "anger", "nostalgia"]
    before = recognizer.model.label_points(labels)["text"]
    taught = recognizer.adapt(SUPPORT, steps=steps)
    after = taught.model.label_points(labels)["text"]
    torch.testing.assert_close(after[:2], before[:2])
    assert not torch.allclose(after[2], before[2])
    torch.testing.assert_close(recognizer.model.label_points(labels)["text"], before)
    torch.testing.assert_close(after.norm(dim=1), torch.ones(3))


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
        ([{"text": "x"}], None, "row 0 of the support has no label, .* under 'label'; it has text"),
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


def test_a_fine_tune_leaves_the_examples_of_labels_taught_before_to_them(recognizer):
    """The reference is empty here: what is held back is held back for the earlier label's sake."""
    earlier = [{"text": f"those were the days {i}", "label": "nostalgia"} for i in range(8)]
    later = [{"text": f"those were the days at home {i}", "label": "homesickness"} for i in range(8)]
    recognizer.model.modality("text").calibration.reference.zero_()
    taught = recognizer.adapt(earlier)

    def kept(bound):
        model = taught.adapt(later, steps=200, max_harm=bound)
        said = model.predict([row["text"] for row in earlier], labels=["nostalgia", "homesickness"])
        return sum(one.label == "nostalgia" for one in said)

    without = taught.adapt(later).predict([row["text"] for row in earlier], labels=["nostalgia", "homesickness"])
    assert kept(0.0) >= sum(one.label == "nostalgia" for one in without) > kept(1.0)
