"""The study of transfer: divisions by speaker, paired differences, and one small transfer."""

import numpy as np
import pandas as pd
import pytest
from studies import transfer

from emoembed.encoders.pooled import PooledSettings
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.reading.rows import EmotionData
from emoembed.transfer import strategies
from emoembed.transfer.pathnet import SearchConfig
from emoembed.transfer.strategies import train_sources
from emoembed.transfer.task import Budget, Task

LABELS = ("joy", "anger", "boredom")
COLUMNS = tuple("abcdef")
SMALL = Budget(steps=40, learning_rate=5e-3, search=SearchConfig(rounds=3, batches=2, population=4))


def rows_of(name, speakers=10, each=12):
    generator = np.random.default_rng(0)
    ids = [f"{name}/{who}-{i}" for who in range(speakers) for i in range(each)]
    true = np.arange(len(ids)) % len(LABELS)
    centres = 2 * np.random.default_rng(1).standard_normal((len(LABELS), len(COLUMNS)))
    values = centres[true] + 0.5 * generator.standard_normal((len(ids), len(COLUMNS)))
    store = {row: value[None].astype(np.float32) for row, value in zip(ids, values, strict=True)}
    targets = np.eye(len(LABELS), dtype=np.float32)[true]
    data = EmotionData(tuple(ids), {"video": store}, LABELS, targets, np.zeros(len(ids), bool))
    return transfer.Rows(name, data, {row: row.split("/")[1].split("-")[0] for row in ids})


def test_every_speaker_tests_once_in_a_round_of_seeds_and_never_trains_then():
    rows = rows_of("emodb")
    tested = []
    for seed in range(transfer.FOLDS["emodb"]):
        domain, test = transfer.target_of(rows, seed, 1.0)
        groups = [{rows.speakers[row] for row in part.ids} for part in (domain.train, domain.valid, test)]
        assert [len(group) for group in groups] == [6, 2, 2]
        assert len(set.union(*groups)) == 10
        tested += sorted(groups[2])
    assert sorted(tested) == sorted(rows.names)


def test_a_smaller_share_is_a_part_of_a_larger_one():
    few, more = (transfer.target_of(rows_of("emodb", each=30), 0, share)[0] for share in (0.1, 0.5))
    assert set(few.train.ids) < set(more.train.ids)
    assert set(few.valid.ids) < set(more.valid.ids)


def test_a_source_of_two_speakers_trains_on_one():
    domain = transfer.source_of(rows_of("tess", speakers=2))
    assert {domain.speakers[row] for row in domain.train.ids}.isdisjoint(
        domain.speakers[row] for row in domain.valid.ids
    )


@pytest.mark.parametrize("way", ["fine-tune", "pathnet", "pathnet, search not counted", "scratch"])
def test_a_transfer_is_measured_also_for_a_label_never_trained_on(way):
    source, target = rows_of("tess", speakers=2), rows_of("emodb")
    modality = ModalityConfig("units", "pooled", 24, COLUMNS, PooledSettings(), LabelParts(vad_share=0.5))
    sources = [transfer.source_of(source.without(("boredom",)))]
    domain, test = transfer.target_of(target, 0, 1.0, ("boredom",))
    assert "boredom" not in domain.train.labels
    assert "boredom" in test.labels
    task = Task(transfer.recipe_of("video", modality), sources, domain, SMALL)
    trained = train_sources(task)
    facts = transfer.measure(transfer.replace(task, trained=trained), way, 5e-3, test, ("boredom",))
    assert facts["UAR"] > 0.8
    assert 0 <= facts["AUC"] <= 1
    assert np.isnan(facts["reused"]) == (way in ("fine-tune", "scratch"))


def test_the_validation_rows_choose_the_learning_rate():
    table = pd.DataFrame(
        {
            "pair": "a -> b",
            "share": 1.0,
            "seed": [0, 0, 1, 1],
            "strategy": "scratch",
            "rate": [0.1, 0.2, 0.1, 0.2],
            "validation": [0.5, 0.6, 0.8, 0.7],
            "UAR": [0.9, 0.1, 0.2, 0.8],
        }
    )
    assert list(transfer.chosen_rates(table)["UAR"]) == [0.1, 0.2]


def test_differences_are_paired_by_seed_and_wide_for_overlapping_folds():
    seeds = np.repeat([0, 1, 2], 2)
    table = pd.DataFrame({"pair": "a -> emodb", "share": 1.0, "seed": seeds, "strategy": ["scratch", "soup"] * 3})
    table["UAR"] = [0.1, 0.2, 0.5, 0.6, 0.8, 0.9]
    (row,) = transfer.differences(table, "scratch").itertuples()
    assert row.strategy == "soup"
    assert (row.mean, row.low, row.high) == pytest.approx((0.1, 0.1, 0.1))
    table["UAR"] = [0.1, 0.1, 0.5, 0.6, 0.8, 1.0]
    (row,) = transfer.differences(table, "scratch").itertuples()
    half = 4.303 * 0.1 * (1 / 3 + 1 / 3) ** 0.5  # t of two degrees of freedom; emodb tests a third of what it trains on
    assert row.high - row.mean == pytest.approx(half, rel=1e-3)
    assert transfer.differences(table, "no-source").empty


def test_means_over_pairs_weigh_complete_pairs_alike_and_show_what_a_user_gets():
    rows = []
    for pair, base, seeds in (("a -> b", 0.2, 2), ("a -> c", 0.6, 1)):
        for seed in range(seeds):
            for place, name in enumerate(strategies.STRATEGIES):
                rows.append((pair, 0.1, seed, name, -float(place), base + 0.01 * place))
    rows.append(("a -> d", 0.1, 0, "scratch", 0.0, 1.0))
    table = pd.DataFrame(rows, columns=["pair", "share", "seed", "strategy", "validation", "UAR"])
    means = transfer.means_over_pairs(table, "UAR")[0.1]
    assert means["scratch"] == pytest.approx(0.4)
    assert means["chosen on validation"] == means["scratch"]  # validation prefers the first
    fair = [name for name in strategies.STRATEGIES if name not in strategies.CONTROLS]
    assert means["best on test"] == pytest.approx(max(means[name] for name in fair))


def test_the_packages_choice_is_measured_on_test_rows():
    modality = ModalityConfig("units", "pooled", 24, COLUMNS, PooledSettings(), LabelParts(vad_share=0.5))
    domain, test = transfer.target_of(rows_of("emodb", each=6), 0, 0.5)
    task = Task(transfer.recipe_of("video", modality), [transfer.source_of(rows_of("tess", speakers=2))], domain, SMALL)
    facts = transfer.measure_choice(task, test)
    assert facts["chosen"] in set(strategies.STRATEGIES) - set(strategies.CONTROLS)
    assert facts["UAR"] > 0.8
    assert 0 < facts["validation"] <= 1


def test_choices_stand_beside_fixed_strategies_on_the_same_targets_and_rate():
    keys = {"pair": "a -> b", "share": 0.1, "seed": [0, 0, 0, 1], "rate": [1e-3, 1e-3, 3e-3, 1e-3]}
    table = pd.DataFrame(
        {**keys, "strategy": ["scratch", "fine-tune", "scratch", "scratch"], "UAR": [0.3, 0.4, 0.9, 0.9]}
    )
    choices = pd.DataFrame({"pair": ["a -> b"], "share": 0.1, "seed": 0, "rate": 1e-3, "UAR": 0.35})
    means = transfer.choices_beside(choices, table, "UAR")[0.1]
    assert means.to_dict() == pytest.approx(
        {"scratch": 30, "fine-tune": 40, "chosen by the package": 35, "best on test": 40}
    )
