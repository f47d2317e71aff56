"""`emoembed` on the command line: each subcommand parses, calls one public function, and prints.

Exit codes: 0 all well; 1 some rows failed, the others are written; 2 nothing could be done, for the reason on stderr.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emoembed import __version__
from emoembed.errors import EmoembedError
from emoembed.interfaces.commands import TABLES, adapt, attune, evaluate, extract, info, predict, prepare, train


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; its exit code."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # labels may be in letters the terminal lacks
    parser = _parser()
    parsed = parser.parse_args(_joined(sys.argv[1:] if argv is None else argv))
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say
            code: int = parsed.run(parsed)
    except (EmoembedError, OSError) as error:
        print(f"emoembed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("emoembed: stopped", file=sys.stderr)
        return 130
    return code


def _say(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """A warning as one line, without the place in the code that it comes from."""
    print(f"emoembed: warning: {message}", file=sys.stderr)


def _joined(arguments: Sequence[str]) -> list[str]:
    """Arguments in which a text that begins with a dash is told from an option: `--text "--hello"`."""
    given = list(map(str, arguments))
    for place in range(len(given) - 1, 0, -1):
        if given[place - 1] == "--text" and given[place].startswith("-") and not _option(given[place]):
            given[place - 1 : place + 1] = [f"--text={given[place]}"]
    return given


def _option(text: str) -> bool:
    """Whether an argument is an option of `predict` and no text."""
    return text.partition("=")[0] in PREDICT_OPTIONS


PREDICT_OPTIONS = (
    *("--text", "--audio", "--video", "--manifest", "--output", "--multi-label", "--abstain", "--json", "--labels"),
    *("--labels-file", "--model", "--device", "--batch-size", "--help", "-h"),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emoembed", description="Emotion recognition for any emotion name.")
    parser.add_argument("--version", action="version", version=f"emoembed {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = _command(commands, predict, "score emotion names for a sentence, a recording, a face, or a manifest of them")
    one.add_argument("--text", metavar="TEXT", help="a sentence; - reads it from standard input")
    one.add_argument(
        "--audio",
        metavar="FILE",
        nargs="+",
        help="a sound file, or a video with a sound track; many, a folder, a pattern",
    )
    one.add_argument("--video", metavar="FILE", nargs="+", help="a video or an image; many, a folder, a pattern")
    one.add_argument("--manifest", type=Path, metavar="FILE", help=f"many rows instead of one: {TABLES}")
    one.add_argument("--output", type=Path, metavar="FILE", help=f"where a manifest's scores go: {TABLES}")
    one.add_argument("--multi-label", action="store_true", help="a probability of its own for every label")
    one.add_argument(
        "--abstain",
        type=float,
        nargs="?",
        const=True,
        default=False,
        metavar="RISK",
        help="answer 'none of these' where more than this share of answers would be wrong (default 0.2)",
    )
    one.add_argument("--json", action="store_true", help="print JSON")
    _add_labels(one)
    _add_common(one, batch_size=True)

    one = _command(commands, train, "train on a manifest's labels")
    one.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="rows with labels and splits")
    one.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the checkpoint goes")
    one.add_argument("--modality", type=_names, metavar="A,B", help="text, audio, video; those there are by default")
    one.add_argument(
        "--encoder",
        type=_pair,
        action="append",
        default=[],
        metavar="MODALITY=NAME",
        help="start from a transformer: a hub id or a folder, e.g. audio=facebook/wav2vec2-base; may be repeated",
    )
    one.add_argument("--seed", type=int, default=0, help="of the weights and of the rows held out; 0")
    one.add_argument("--epochs", type=int, help="instead of the recipe's")
    _add_common(one, batch_size=True)

    one = _command(commands, evaluate, "measure on a corpus, or with emotions held out of training")
    one.add_argument("corpus", metavar="CORPUS", help="a corpus, or the path of a manifest")
    one.add_argument("--data", type=Path, metavar="DIR", help="the folder that holds the corpora")
    one.add_argument("--split", choices=("train", "valid", "test"), default="valid", help="valid by default")
    one.add_argument(
        "--unseen", metavar="NAMES", help="train without these emotions (comma-separated), or without each"
    )
    seeds = one.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, metavar="S", help="one run with this seed")
    seeds.add_argument("--seeds", type=_count, metavar="N", help="runs with seeds 0 to N-1")
    one.add_argument(
        "--protocol",
        metavar="NAME",
        help="train and report under mosei-6, iemocap-4, iemocap-4-5fold, iemocap-6, iemocap-9-zero-shot or default. "
        "Without it and --unseen, the model itself is scored",
    )
    one.add_argument("--method", default="emoembed", help="emoembed, or mtee: the model of Dai et al. 2020")
    one.add_argument(
        "--words",
        type=Path,
        metavar="FILE",
        help="a file of word vectors that embed the labels; with --unseen or --protocol",
    )
    one.add_argument(
        "--epochs",
        type=_count,
        metavar="N",
        help="training epochs in place of the recipe's; with --unseen or --protocol",
    )
    one.add_argument(
        "--keep-emotion-columns", action="store_true", help="read columns that are emotion scores, to show their effect"
    )
    one.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where metrics.json and a table go; under a protocol the report and its plots",
    )
    _add_common(one, batch_size=True)

    one = _command(commands, adapt, "move labels towards a few examples")
    one.add_argument("--support", type=Path, required=True, metavar="FILE", help="label, and text, audio or video")
    one.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the checkpoint goes")
    one.add_argument("--steps", type=int, default=0, help="gradient steps of a light fine-tune")
    one.add_argument(
        "--max-harm",
        type=float,
        metavar="SHARE",
        help="of other labels' items it may win over (default 0.02)",
    )
    _add_labels(one)
    _add_common(one)

    one = _command(commands, attune, "make a model at home among unlabelled sound or faces of your own")
    one.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="rows with audio or video")
    one.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the checkpoint goes")
    _add_common(one)

    one = _command(commands, extract, "extract features into a store")
    one.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="rows with audio or video")
    one.add_argument("--modality", choices=("audio", "video"), required=True)
    one.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the store is or shall be")

    one = _command(commands, prepare, "write a corpus as a manifest, or with its features as a folder")
    one.add_argument("corpus", metavar="CORPUS", help="a corpus, such as mosei")
    one.add_argument("--data", type=Path, metavar="DIR", help="the folder that holds the corpora")
    one.add_argument("--output", type=Path, required=True, metavar="PATH", help=f"{TABLES}; or a folder")

    one = _command(commands, info, "say what is known of a model, a corpus or a label")
    one.add_argument("subject", choices=("model", "corpus", "label"), help="what is asked about")
    one.add_argument("name", metavar="NAME_OR_DIR", help="its name, or its folder")
    one.add_argument("--data", type=Path, metavar="DIR", help="the folder that holds the corpora")
    _add_common(one)
    return parser


def _command(commands: Any, run: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(run.__name__, help=text, description=f"{text.capitalize()}.")
    command.set_defaults(run=run)
    return command


def _add_labels(command: argparse.ArgumentParser) -> None:
    given = command.add_mutually_exclusive_group()
    given.add_argument("--labels", type=_names, metavar="A,B,C", help="emotion names")
    given.add_argument("--labels-file", type=Path, metavar="FILE", help="JSON: name -> description")


def _add_common(command: argparse.ArgumentParser, *, batch_size: bool = False) -> None:
    command.add_argument("--model", default="base", help="a checkpoint that ships, a folder, or a hub id; base")
    command.add_argument("--device", help="where to compute, such as cuda; the CPU by default")
    if batch_size:
        command.add_argument("--batch-size", type=_count, metavar="N", help="rows that are computed together")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.rstrip(", ").split(",")]


def _pair(text: str) -> tuple[str, str]:
    modality, _, name = text.partition("=")
    if modality not in ("text", "audio", "video") or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not text=NAME, audio=NAME or video=NAME")
    return modality, name


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return count


if __name__ == "__main__":
    sys.exit(main())
