"""Measure how a microphone, a line or a room changes the answers. The changes to the recordings change no emotion.

    python benchmarks/channel.py --data DIR [--model base] [--before channel.csv] [--output docs/channel]

Each clip of RAVDESS actors 21-24 is predicted unchanged and in thirteen variants. For each variant the table has the
share of clips with the same answer as the unchanged clip (95 % interval over the actors), the UAR, and the number of
clips that got no answer. The goal is that at least 90 % of the answers stay in the variants that change no speech, and
in copies at another sample rate.

`--before` adds the table of an earlier version of the package. The table in docs/channel was made in these steps; the
commit is the last one before sound was read robustly, and its own `base` answers there.

    git worktree add ../before 37e132a
    cp benchmarks/channel.py ../before/benchmarks
    ln -s ../features ../checkpoints ../before/emoembed
    (cd ../before && PYTHONPATH=. python benchmarks/channel.py --data DIR --output build/channel)
    python benchmarks/channel.py --data DIR --before ../before/build/channel/channel.csv --output docs/channel
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import butter, resample_poly, sosfilt

import emoembed
from emoembed import corpora
from emoembed.evaluation.report import Report, write
from emoembed.features.audio import SAMPLING_RATE, read_audio
from emoembed.metrics import uar

COMMAND = "`python benchmarks/channel.py --data DIR --before channel.csv --output docs/channel`"
BEFORE = "the package at commit 37e132a with its own `base`; benchmarks/channel.py has the commands"
GOAL = 0.9
Change = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, int]]


def _noise(generator: np.random.Generator, seconds: float, level: float = 1e-3) -> np.ndarray:
    return generator.normal(0, level, int(seconds * SAMPLING_RATE)).astype(np.float32)


def _padded(sound: np.ndarray, generator: np.random.Generator, seconds: float) -> np.ndarray:
    return np.concatenate([_noise(generator, seconds), sound, _noise(generator, seconds)])


def _noisy(sound: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    level = float(np.sqrt((sound**2).mean())) / 10
    return sound + generator.normal(0, level, len(sound)).astype(np.float32)


def _click(sound: np.ndarray) -> np.ndarray:
    before = np.zeros(SAMPLING_RATE + 16, np.float32)
    before[:16] = 0.3
    return np.concatenate([before, sound])


def _telephone(sound: np.ndarray) -> np.ndarray:
    band = butter(6, [300, 3400], "band", fs=SAMPLING_RATE, output="sos")
    return sosfilt(band, sound).astype(np.float32)


def _room(sound: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    time = np.arange(SAMPLING_RATE // 4)
    tail = generator.normal(0, 1, len(time)) * np.exp(-time / (0.06 * SAMPLING_RATE)) * 0.1
    return np.convolve(sound, np.concatenate([[1.0], tail]))[: len(sound)].astype(np.float32)


def _here(change: Callable[..., np.ndarray], *, random: bool = False) -> Change:
    return lambda sound, generator: (change(sound, generator) if random else change(sound), SAMPLING_RATE)


VARIANTS: dict[str, Change] = {
    "unchanged": _here(lambda sound: sound),
    "offset-0.01": _here(lambda sound: sound + 0.01),
    "offset-0.1": _here(lambda sound: sound + 0.1),
    "quiet-20dB": _here(lambda sound: sound * 0.1),
    "loud-20dB-clipped": _here(lambda sound: np.clip(sound * 10, -1, 1)),
    "peak-normalised": _here(lambda sound: sound / np.abs(sound).max()),
    "noise-pad-half-second": _here(lambda sound, generator: _padded(sound, generator, 0.5), random=True),
    "noise-pad-two-seconds": _here(lambda sound, generator: _padded(sound, generator, 2.0), random=True),
    "noise-throughout-20dB": _here(_noisy, random=True),
    "click-before": _here(_click),
    "telephone-band": _here(_telephone),
    "8kHz": lambda sound, _: (resample_poly(sound, 1, 2).astype(np.float32), SAMPLING_RATE // 2),
    "44.1kHz": lambda sound, _: (resample_poly(sound, 441, 160).astype(np.float32), 44_100),
    "small-room": _here(_room, random=True),
}

OF_GOAL = (
    "offset-0.01",
    "offset-0.1",
    "noise-pad-half-second",
    "noise-pad-two-seconds",
    "click-before",
    "44.1kHz",
    "8kHz",
)
"""The variants of the goal. 8 kHz has lost what lies above 4 kHz."""


def measure(data: Path, name: str, variants: Sequence[str] = tuple(VARIANTS), every: int = 1) -> pd.DataFrame:
    """One row a variant, `unchanged` first: share of answers that stay, its interval over actors, UAR."""
    corpus = corpora.load("ravdess", data).split("test").samples.iloc[::every]
    model = emoembed.load(name)
    labels = corpora.load("ravdess", data).labels
    sounds = [read_audio(path) for path in corpus["audio"]]
    truth = [labels.index(row[0]) for row in corpus["labels"]]
    actors = corpus["speaker"].to_numpy()
    kept: np.ndarray | None = None
    rows = []
    for variant in variants:
        generator = np.random.default_rng(0)
        changed = [VARIANTS[variant](sound, generator) for sound in sounds]
        results = model.predict(audio=changed, labels=labels, errors="skip")
        answers = np.array([result.label or "" for result in results])
        kept = answers if kept is None else kept
        same = answers == kept
        by_actor = np.array([same[actors == actor].mean() for actor in np.unique(actors)])
        drawn = np.random.default_rng(0).integers(0, len(by_actor), (2000, len(by_actor)))
        low, high = np.quantile(by_actor[drawn].mean(axis=1), (0.025, 0.975))
        answered = np.array([labels.index(answer) if answer else -1 for answer in answers])
        rows.append([variant, same.mean(), low, high, uar(answered, np.array(truth)), int((answers == "").sum())])
        print(f"{variant:<24} {same.mean():.3f} ({low:.3f} to {high:.3f})  UAR {rows[-1][4]:.3f}", flush=True)
    return pd.DataFrame(rows, columns=["variant", "same", "low", "high", "uar", "refused"])


def goals(table: pd.DataFrame) -> list[str]:
    """One line for each variant of the goal: the share of answers that stay, and whether the goal is met."""
    shares = table.set_index("variant")["same"]
    return [
        f"{variant}: {shares[variant]:.3f}, {'met' if shares[variant] >= GOAL else 'missed'}"
        for variant in OF_GOAL
        if variant in shares
    ]


def report(table: pd.DataFrame, before: pd.DataFrame | None = None) -> Report:
    """The report of a table, beside the table of an earlier version if there is one."""
    facts = {"printed by": COMMAND}
    shown = table.set_index("variant")
    if before is not None:
        facts["before"] = BEFORE
        versions = {"before": before.set_index("variant").reindex(shown.index), "after": shown}
        shown = pd.concat(
            [versions[name][column].rename(f"{column} {name}") for column in shown for name in versions], axis=1
        )
    return Report(
        "Microphones, lines and rooms",
        facts,
        {"Variants": shown},
        {f"Goal: at least {GOAL:.0%} of the answers stay": goals(table)},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default="base", help="checkpoint to measure")
    parser.add_argument("--before", type=Path, help="channel.csv of another version of the package, for comparison")
    parser.add_argument("--output", type=Path, help="folder for report.md and channel.csv")
    parsed = parser.parse_args()
    table = measure(parsed.data, parsed.model)
    print(*goals(table), sep="\n")
    if parsed.output:
        write(report(table, pd.read_csv(parsed.before) if parsed.before else None), parsed.output)
        table.to_csv(parsed.output / "channel.csv", index=False)


if __name__ == "__main__":
    main()
