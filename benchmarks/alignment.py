"""Compare word-level alignment with the CMU SDK: `python benchmarks/alignment.py --sdk DIR`.

The benchmark writes a corpus in the file form of the SDK, reads every file with both packages, and compares the arrays.
Then both packages align COVAREP and FACET to words in one process. The benchmark compares every value, and prints the
seconds and their ratio. `DIR` is a checkout of github.com/A2Zadeh/CMU-MultimodalSDK; without it, only the time of this
package is printed. `--segments FILE` uses the true segment times of CMU-MOSEI (a CSV with video, segment, start, end,
split). `--full` prepares all segments and prints the peak memory; this needs 9 GB of disk.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed import corpora
from emoembed.corpora import stand_in
from emoembed.corpora.forms import alignment, csd
from emoembed.labels.emotion import table
from emoembed.model import checkpoint
from emoembed.reading import prepare

SEQUENCES = ("COVAREP", "FACET 4.2")
REFERENCE = "glove_vectors"


def write(folder: Path, videos: int, seconds: float, segments: Path | None) -> None:
    """A corpus of so many videos, each of one length, or with CMU-MOSEI's own times."""
    words = checkpoint.read_word_table()
    vocabulary = [w for label in table().values() for w in (label.name, *label.synonyms) if w in words]
    if segments is None:
        spans = {f"video{i:04d}": [(0.0, seconds, "train")] for i in range(videos)}
    else:
        published_segments = (
            pd.read_csv(segments).fillna({"split": "train"}).replace({"split": {"validation": "valid"}})
        )
        published_segments["start"] = published_segments["start"].clip(
            lower=0.0
        )  # a few of the published times lie before the beginning
        spans = {
            str(video): list(zip(rows["start"], rows["end"], rows["split"], strict=True))
            for video, rows in list(
                published_segments[published_segments["end"] > published_segments["start"]].groupby("video")
            )[:videos]
        }
    stand_in.write_mosei(folder, words, vocabulary, size=spans)


def ours(folder: Path) -> tuple[dict[str, dict[str, alignment.Aligned]], float]:
    """Every sequence averaged within every word, and the seconds it took, reading included."""
    begin = time.perf_counter()
    sequences = csd.open_folder(folder)
    averages: dict[str, dict[str, alignment.Aligned]] = {name: {} for name in SEQUENCES}
    for video in sequences[REFERENCE]:
        reference = sequences[REFERENCE][video].intervals
        for name in SEQUENCES:
            timed = sequences[name][video]
            averages[name][video] = alignment.average(reference, timed.intervals, timed.values)
    return averages, time.perf_counter() - begin


def theirs(folder: Path, sdk: Path):  # type: ignore[no-untyped-def]
    """The SDK's dataset aligned with an averaging collapse function, and the seconds it took, reading included."""
    sys.path.insert(0, str(sdk))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from mmsdk import mmdatasdk

        recipe = {csd.ComputationalSequence(path).name: str(path) for path in folder.glob("*.csd")}
        kept = {name: recipe[name] for name in (*SEQUENCES, REFERENCE)}
        same_arrays(folder, mmdatasdk.mmdataset(kept))
        begin = time.perf_counter()
        dataset = mmdatasdk.mmdataset(kept)
        dataset.align(REFERENCE, collapse_functions=[lambda intervals, features: np.average(features, axis=0)])
    return dataset, time.perf_counter() - begin


def same_arrays(folder: Path, dataset) -> None:  # type: ignore[no-untyped-def]
    """Raise where a file read by both gives different arrays."""
    read_by_both = {
        name: one for name, one in csd.open_folder(folder).items() if name in dataset.computational_sequences
    }
    for name, sequence in read_by_both.items():
        for video in sequence:
            timed, entry = sequence[video], dataset[name].data[video]
            np.testing.assert_array_equal(timed.values, np.asarray(entry["features"]))
            np.testing.assert_array_equal(timed.intervals, np.asarray(entry["intervals"]))


def compare(mine: dict[str, dict[str, alignment.Aligned]], dataset) -> tuple[int, float]:  # type: ignore[no-untyped-def]
    """Words compared and the largest difference of a finite value or time; raises where one has a word alone."""
    words, worst = 0, 0.0
    for name, videos in mine.items():
        other = dataset[name].data
        if {f"{v}[{i}]" for v, aligned in videos.items() for i in aligned.rows} != set(other):
            raise SystemExit(f"{name}: the two do not align the same words")
        for video, aligned in videos.items():
            for row, values, times in zip(aligned.rows, aligned.values, aligned.intervals, strict=True):
                entry = other[f"{video}[{row}]"]
                expected = np.asarray(entry["features"], dtype=np.float64)[0]
                np.testing.assert_array_equal(np.isfinite(expected), np.isfinite(values))
                finite = np.isfinite(expected)
                worst = max(worst, float(np.abs(expected[finite] - values[finite]).max()))
                worst = max(worst, float(np.abs(np.asarray(entry["intervals"])[0] - times).max()))
                words += 1
    return words, worst


def full(folder: Path) -> None:
    """Prepare the whole corpus and print how long it took and the peak of memory."""
    begin = time.perf_counter()
    done = prepare.prepare(corpora.load("mosei", folder), folder / "prepared", progress=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(done.samples)} segments prepared in {time.perf_counter() - begin:.0f} s, peak memory {peak:.2f} GB")


def main() -> None:
    """Write, align, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdk", type=Path, help="checkout of the CMU SDK")
    parser.add_argument("--segments", type=Path, help="CSV with the segment times of CMU-MOSEI")
    parser.add_argument("--videos", type=int, default=20, help="number of videos, without --full")
    parser.add_argument("--seconds", type=float, default=72.0, help="length of each video, without --segments")
    parser.add_argument("--full", action="store_true", help="prepare every segment of --segments")
    parser.add_argument("--work", type=Path, help="folder for the written corpus; default: a temporary one")
    parsed = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=parsed.work))
    try:
        write(folder, 10**6 if parsed.full else parsed.videos, parsed.seconds, parsed.segments)
        if parsed.full:
            full(folder)
            return
        mine, seconds = ours(folder)
        words = sum(len(aligned.rows) for videos in mine.values() for aligned in videos.values())
        print(f"ours: {words} words in {seconds:.3f} s, {1e3 * seconds / words:.3f} ms a word")
        if parsed.sdk:
            dataset, other = theirs(folder, parsed.sdk)
            compared, worst = compare(mine, dataset)
            print(f"SDK:  {compared} words in {other:.3f} s, {1e3 * other / compared:.3f} ms a word")
            print(f"every array read alike; ratio {other / seconds:.1f}, largest difference {worst:.1e}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
