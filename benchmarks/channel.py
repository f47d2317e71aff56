"""Measure how a microphone, a line or a room changes the answers. The changes to the recordings change no emotion.

    python benchmarks/channel.py --data DIR [--model base] [--output DIR]

Each clip of RAVDESS actors 21-24 is predicted unchanged and in thirteen variants. For each variant the table has the
share of clips with the same answer as the unchanged clip (95 % interval over the actors), and the UAR.
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

COMMAND = "`python benchmarks/channel.py --data DIR --output DIR`"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default="base", help="checkpoint to measure")
    parser.add_argument("--before", type=Path, help="channel.csv of another version of the package, for comparison")
    parser.add_argument("--output", type=Path, help="folder for report.md and channel.csv")
    parsed = parser.parse_args()
    table = measure(parsed.data, parsed.model)
    if parsed.output:
        tables = {"With this version": table.set_index("variant")}
        if parsed.before:
            tables["With the version before"] = pd.read_csv(parsed.before, index_col="variant")
        write(Report("Microphones, lines and rooms", {"printed by": COMMAND}, tables), parsed.output)
        table.to_csv(parsed.output / "channel.csv", index=False)


if __name__ == "__main__":
    main()
