"""Recordings that a microphone or a line has changed get the same answers; a report says what they got before."""

import channel
import numpy as np
import pytest

import emoembed

LABELS = ["joy", "anger", "sadness", "fear", "calm"]


@pytest.fixture(scope="module")
def base():
    return emoembed.load("base")


@pytest.mark.parametrize("variant", [*sorted({*channel.OF_GOAL} - {"8kHz"}), "quiet-20dB", "peak-normalised"])
def test_a_change_that_changes_no_speech_leaves_the_answer(base, voice, variant):
    sounds = [np.pad(voice(2.0, pitch, seed), 8000) for seed, pitch in enumerate((120.0, 150.0, 180.0))]
    copies = [channel.VARIANTS[variant](sound, np.random.default_rng(0)) for sound in sounds]
    answers = base.predict(audio=[(sound, 16_000) for sound in sounds], labels=LABELS)
    changed = base.predict(audio=copies, labels=LABELS)
    assert [result.label for result in changed] == [result.label for result in answers]
    for before, after in zip(answers, changed, strict=True):
        assert after.scores == pytest.approx(before.scores, abs=0.05)


def test_the_report_has_both_versions_and_says_which_goals_are_missed():
    columns = {"same": [1.0, 0.95, 0.5], "low": [1.0, 0.9, 0.4], "high": [1.0, 1.0, 0.6], "uar": [0.7, 0.7, 0.4]}
    after = channel.pd.DataFrame({"variant": ["unchanged", "offset-0.1", "click-before"], **columns, "refused": 0})
    written = channel.report(after, after.assign(same=[1.0, 0.25, 0.125])).markdown()
    assert "- offset-0.1: 0.950, met" in written
    assert "- click-before: 0.500, missed" in written
    assert "| variant | same before | same after | low before |" in written
    assert "| click-before | 0.125 | 0.500 |" in written
    assert "before" not in channel.report(after).markdown().partition("## Variants")[2].replace("click-before", "")
