"""Measure which sounds are taken for speech: real recordings, recordings with added sounds, and generated sounds.

    python benchmarks/no_speech.py --data DIR [--output docs/no-speech]

For each kind the table has the number of sounds, and how many have no speech by `speech_check.no_speech`. This should
be none of the real recordings and all of the generated sounds. A second table compares the extremes of real speech with
the bounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed import corpora
from emoembed.evaluation.report import Report, write
from emoembed.features import speech_check
from emoembed.features.audio import N_MELS, SAMPLING_RATE, read_audio, speech

CORPORA = ("ravdess", "tess", "emodb")
EVERY = 12
"""Of the real recordings, those that are read with something over them."""


def generated(seed: int) -> dict[str, np.ndarray]:
    """Twenty-one kinds of sound that are no speech, of 1 to 5 s."""
    generator = np.random.default_rng(seed)
    count = int(SAMPLING_RATE * generator.uniform(1, 5))
    time = np.arange(count) / SAMPLING_RATE
    noise = generator.standard_normal(count)
    pitch = generator.uniform(80, 400)
    length = generator.uniform(0.12, 0.5)
    steps = pitch * 2 ** (generator.integers(0, 12, 60) / 12)
    notes = _phase(steps[np.minimum((time / length).astype(int), 59)])
    bass = _phase(steps[np.minimum((time / length / 2).astype(int), 59)] / 4)
    melody = _harmonics(notes, 8) * np.exp(-(time % length) / length * 3)
    drum = generator.standard_normal(count) * np.exp(-(time % length) * 20)
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * generator.uniform(1, 8) * time)
    pink = _coloured(noise, 0.5)
    engine = _phase(60 + 10 * np.sin(np.pi * time))
    siren = _phase(800 + 400 * np.sin(np.pi * time))
    ringing = np.sin(_phase(np.full(count, 440.0))) + np.sin(_phase(np.full(count, 480.0)))
    keys = generator.choice([697, 770, 852, 941, 1209, 1336, 1477], 2, replace=False)
    return {
        "white noise": noise,
        "pink noise": pink,
        "brown noise": _coloured(noise, 1.0),
        "white noise that comes and goes": noise * swell,
        "pink noise that comes and goes": pink * swell,
        "rain": (generator.random(count) < 800 / SAMPLING_RATE) * noise,
        "clicks": (generator.random(count) < 5 / SAMPLING_RATE).astype(float),
        "tone": np.sin(_phase(np.full(count, generator.uniform(70, 2000)))),
        "hum": _harmonics(_phase(np.full(count, 50.0)), 6),
        "sawtooth": _harmonics(_phase(np.full(count, pitch)), 12),
        "chord": sum(_harmonics(_phase(np.full(count, pitch * ratio)), 6) for ratio in (1, 1.26, 1.5)),
        "melody": melody,
        "whistled melody": np.sin(notes),
        "melody with bass and drum": melody + 0.7 * _harmonics(bass, 6) + 0.5 * drum,
        "vibrato": _harmonics(_phase(pitch * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * time))), 10),
        "sweep": np.sin(_phase(np.linspace(100, generator.uniform(200, 1500), count))),
        "engine": _harmonics(engine, 30) + 0.3 * pink,
        "siren": np.sin(siren) + 0.3 * np.sin(2 * siren),
        "telephone ring": ringing * (time % 1.2 < 0.6) + 1e-4 * noise,
        "telephone keys": sum(np.sin(_phase(np.full(count, float(key)))) for key in keys),
        "faint noise": 1e-3 * noise,
    }


def _phase(hertz: np.ndarray) -> np.ndarray:
    return 2 * np.pi * np.cumsum(hertz) / SAMPLING_RATE


def _harmonics(phase: np.ndarray, count: int) -> np.ndarray:
    return np.sum([np.sin(k * phase) / k for k in range(1, count)], axis=0)


def _coloured(noise: np.ndarray, power: float) -> np.ndarray:
    spectrum = np.fft.rfft(noise)
    return np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 1) ** power, len(noise))


def over(sound: np.ndarray, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """A real recording with something over it."""
    from channel import VARIANTS

    level = float(np.sqrt(np.mean(sound**2)))
    changed = {
        name: VARIANTS[name](sound, generator)[0] for name in ("telephone-band", "small-room", "loud-20dB-clipped")
    }
    for decibels in (20, 10, 5):
        noise = generator.normal(0, level / 10 ** (decibels / 20), len(sound)).astype(np.float32)
        changed[f"noise {decibels} dB below"] = sound + noise
    return changed


def measured(data: Path, seeds: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Whether real or generated, kind, and `speech` features, sound by sound."""
    for name in CORPORA:
        generator = np.random.default_rng(0)
        for place, path in enumerate(corpora.load(name, data).samples["audio"]):
            sound = read_audio(path)
            yield "real", name, speech(sound, SAMPLING_RATE).values
            if place % EVERY == 0:
                for kind, changed in over(sound, generator).items():
                    yield "real, changed", kind, speech(changed, SAMPLING_RATE).values
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        for kind, sound in generated(seed).items():
            level = 1e-3 if kind == "faint noise" else generator.choice([0.05, 0.3, 0.9])
            scaled = (level * sound / np.abs(sound).max()).astype(np.float32)
            yield "generated", kind, speech(scaled, SAMPLING_RATE).values


def row(what: str, kind: str, values: np.ndarray) -> dict[str, object]:
    """What is kept of one sound."""
    above = speech_check.high_band(values[:, :N_MELS])
    silent = speech_check.no_speech(values) is not None
    return {"what": what, "kind": kind, "no speech": silent, "above": above, **asdict(speech_check.voice(values))}


def extremes(real: pd.DataFrame) -> pd.DataFrame:
    """What `speech_check` bounds: the extreme of real, unchanged speech, and the bound."""
    rows = {
        "voiced frames": (real["voiced"].min(), speech_check.FEWEST_VOICED),
        "deviation of loudness, dB": (real["loudness"].min(), speech_check.STEADY),
        "median change of pitch, semitones": (real["change"].max(), speech_check.JUMPS),
        "share of held pitch": (real["held"].max(), speech_check.HELD),
        "deviation of pitch, semitones": (real["pitch"].min(), speech_check.MONOTONE),
        "dB of what is above 4.2 kHz below the rest": (real["above"].max(), speech_check.NARROW),
    }
    return pd.DataFrame(rows, index=["extreme of real speech", "bound"]).T.rename_axis("measure")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--seeds", type=int, default=20, help="number of sounds of each generated kind")
    parser.add_argument("--output", type=Path, help="folder for report.md")
    parsed = parser.parse_args()
    rows = pd.DataFrame([row(*sound) for sound in measured(parsed.data, parsed.seeds)])
    table = rows.groupby(["what", "kind"], sort=False)["no speech"].agg(["size", "sum"]).reset_index()
    table.columns = ["what", "kind", "sounds", "no speech found"]
    real = extremes(rows[rows["what"] == "real"])
    print(table.to_string(index=False), real.to_string(), sep="\n\n")
    if parsed.output:
        command = f"`python benchmarks/no_speech.py --data DIR --seeds {parsed.seeds}`"
        tables = {"Sounds": table.set_index(["what", "kind"]), "Extremes": real}
        write(Report("What is taken for speech", {"printed by": command}, tables), parsed.output)


if __name__ == "__main__":
    main()
