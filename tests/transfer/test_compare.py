"""Which corpus helps which, in Python and on the command line."""

import numpy as np
import pandas as pd
import pytest

import emoembed
from emoembed import plots
from emoembed.errors import InputError
from emoembed.interfaces.cli import main
from emoembed.prediction.recognizer import Recognizer
from emoembed.transfer.pathnet import SearchConfig
from emoembed.transfer.task import Budget

SMALL = Budget(steps=20, learning_rate=5e-3, batch_size=16, search=SearchConfig(rounds=2, batches=2, population=4))


@pytest.fixture
def manifests(speech, tmp_path):
    """Paths of the manifests of two corpora."""
    paths = []
    for i, name in enumerate(("large", "mine")):
        samples = speech(name, 50 * i).samples
        table = pd.DataFrame(
            {"audio": samples["audio"], "labels": ["joy", "anger"] * 12, "speaker": samples["speaker"]}
        )
        paths.append(tmp_path / f"{name}.csv")
        table.to_csv(paths[-1], index=False)
    return [str(path) for path in paths]


def test_each_corpus_is_source_and_target_in_turn(manifests):
    table = emoembed.compare_corpora(manifests, budget=SMALL)
    assert list(table.index) == ["none", "large", "mine"]
    assert list(table.columns) == ["large", "mine"]
    assert np.isnan(table.loc["large", "large"])
    assert np.isnan(table.loc["mine", "mine"])
    scores = table.to_numpy()[~np.isnan(table.to_numpy())]
    assert len(scores) == 4
    assert ((scores >= 0) & (scores <= 1)).all()
    written = {text.get_text() for text in plots.sources_by_targets(table).axes[0].texts}
    assert written == {f"{score:.2f}" for score in scores}


def test_wrong_comparisons_are_refused(manifests):
    with pytest.raises(InputError, match="at least two corpora; given 1"):
        emoembed.compare_corpora(manifests[:1])
    with pytest.raises(InputError, match="there is no strategy 'magic'"):
        emoembed.compare_corpora(manifests, strategy="magic")
    for alone in ("scratch", "no-source"):
        with pytest.raises(
            InputError, match=f"{alone} uses no source, so there is nothing to compare; choose from lin"
        ):
            emoembed.compare_corpora(manifests, strategy=alone)
    with pytest.raises(InputError, match="two corpora have the same name: large, large"):
        emoembed.compare_corpora([manifests[0], manifests[0]])


def test_speakers_are_counted_before_training(manifests, monkeypatch):
    table = pd.read_csv(manifests[1])
    table.assign(speaker="Ann").to_csv(manifests[1], index=False)
    monkeypatch.setattr("emoembed.transfer.compare.validation_scores", None)
    with pytest.raises(InputError, match="mine has too few speakers to compare paths, which pathnet needs"):
        emoembed.compare_corpora(manifests, strategy="pathnet", budget=SMALL)


def test_the_command_transfers_and_draws_paths(manifests, tmp_path, capsys):
    source, target = manifests
    output, plot = tmp_path / "model", tmp_path / "paths.png"
    options = ["--source", source, "--target", target, "--output", str(output), "--steps", "20"]
    assert main(["transfer", *options, "--strategy", "pathnet", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert "strategy: pathnet" in printed
    assert plot.stat().st_size > 1000
    assert Recognizer.from_pretrained(output).predict(audio=str(tmp_path / "mine-0.wav")).label in ("joy", "anger")
    assert "- Terms: that of large; that of mine" in (output / "README.md").read_text()
    assert main(["transfer", *options, "--strategy", "pathnet", "--plot", "paths.txt"]) == 2
    assert main(["transfer", *options, "--strategy", "scratch", "--plot", str(tmp_path / "none.png")]) == 0
    assert "no picture: scratch has no paths" in capsys.readouterr().err
    assert Recognizer.from_pretrained(output).model.state.provenance["trained_on"] == {"audio": ["mine"]}


def test_the_command_compares(manifests, tmp_path, capsys):
    source, target = manifests
    output, plot = tmp_path / "table.csv", tmp_path / "table.png"
    options = ["--source", source, "--target", target, "--steps", "20", "--plot", str(plot)]
    assert main(["transfer", "--compare", *options, "--output", str(output), "--verbose"]) == 0
    printed = capsys.readouterr()
    assert "large" in printed.out
    assert "2/2" in printed.err, "the number of sources"
    assert list(pd.read_csv(output)["source"]) == ["none", "large", "mine"]
    assert plot.stat().st_size > 1000
    assert main(["transfer", "--compare", *options, "--output", str(tmp_path / "folder")]) == 2
