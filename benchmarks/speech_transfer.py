"""Compare ways to read speech by transfer to an unheard corpus: `python benchmarks/speech_transfer.py --data DIR`.

Models of RAVDESS and EMO-DB score all recordings of TESS, unchanged and adapted to TESS without labels (mean
alignment). Choices for EMO-DB, and for recordings unlike any corpus, are made on this table; EMO-DB is only trained on
here. Models stay in the cache, and the table is written row by row.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch
from studies import unseen

import emoembed
from emoembed.evaluation.report import Report, write
from emoembed.model.config import ModalityConfig
from emoembed.training import recipes

WAYS = {
    "a network over frames (as in base)": ("frames", 0.5, "usual"),
    "the same without noise in training": ("frames", 0.5, "without noise"),
    "the same with tempo in training": ("frames", 0.5, "with tempo"),
    "the same, the map in closed form counting 0.75": ("frames", 0.75, "usual"),
    "statistics (few recordings)": ("statistics", 0.5, "usual"),
    "statistics, the map in closed form counting 0.75": ("statistics", 0.75, "usual"),
    "the map in closed form alone": ("statistics", 1.0, "usual"),
}


def reads(kind: str, overview: float) -> ModalityConfig:
    """What reads speech: by its frames or its statistics, the map in closed form counting so much."""
    modality = recipes.audio_modality() if kind == "frames" else recipes.functionals_modality()
    return modality.with_settings(overview=overview)


def main() -> None:
    """Print a line for each way to read speech, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--base", default="base", help="checkpoint; its label space embeds labels")
    parser.add_argument("--output", type=Path, default=Path("build/speech-transfer"), help="folder for the report")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    base = emoembed.load(parsed.base).model
    report = Report("TESS by models of RAVDESS and EMO-DB", {"rows": "all of TESS", "seed": 0})
    rows = []
    for name, (kind, overview, augmentation) in WAYS.items():
        found = unseen.other_corpus(
            base, parsed.data, "tess", modality=reads(kind, overview), augmentation=augmentation
        )
        uar = found["UAR"].droplevel("seed")
        print(f"{name:60}" + "  ".join(f"{way} {value:.3f}" for way, value in uar.items()), flush=True)
        rows.append(uar.rename(name))
        report.tables["UAR"] = pd.DataFrame(rows).rename_axis("speech read by")
        write(report, parsed.output)


if __name__ == "__main__":
    main()
