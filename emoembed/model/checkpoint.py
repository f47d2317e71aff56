"""Checkpoints: `config.json` and `model.safetensors` (fp16), with tokenizer or word table, checksummed.

No pickle is written or read. Every file that is read is listed in `checksums.json` with its SHA-256, and what is
checked is the bytes that are used. A folder is replaced whole (`features.atomic`): whoever reads it meanwhile gets the
old checkpoint or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import CheckpointError, InputError, MissingFileError
from emoembed.features import atomic
from emoembed.features.text import require_declared_size
from emoembed.labels.phrases import SentenceEncoder, WordTable
from emoembed.model import former
from emoembed.model.config import ModelConfig
from emoembed.model.model import EmotionModel
from emoembed.model.state import State
from emoembed.model.tokenizer_files import tokenizer_fault

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VERSION = 4
CONFIG, WEIGHTS, TOKENIZER, WORDS = "config.json", "model.safetensors", "tokenizer.json", "words.bin"
CHECKSUMS, CARD, LICENSE = "checksums.json", "README.md", "LICENSE"
TAKEN = ("sentence_encoder", "label_space")  # of a card: what models trained on a base take from it, with its terms
CHECKED = (CONFIG, WEIGHTS, TOKENIZER, WORDS)


def offline() -> bool:
    """Whether `EMOEMBED_OFFLINE=1` forbids every network call."""
    return os.environ.get("EMOEMBED_OFFLINE", "0") not in ("", "0")


def find_folder(name: str | Path) -> Path:
    """The folder of a checkpoint: one that ships, a local folder, or a hub repository (downloaded once).

    Raises:
        MissingFileError: none of these.
        InputError: not a name at all.
    """
    if not isinstance(name, str | Path):
        raise InputError(f"a checkpoint is a name, a folder or a hub id; given {name!r}")
    shipped = Path(str(resources.files("emoembed.checkpoints"))) / str(name)
    for folder in (shipped, Path(name)):
        try:
            if (atomic.standing(folder) / CONFIG).is_file():
                return folder
        except (OSError, ValueError) as error:  # a name longer than names may be, or with a zero byte
            raise MissingFileError(f"no checkpoint {str(name)!r:.80}: {error}") from error
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", str(name)) or Path(name).exists():
        raise MissingFileError(
            f"no checkpoint {str(name)!r}: it is {_known()}, a folder with {CONFIG}, or a hub id user/name"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        allowed = [*CHECKED, CHECKSUMS, CARD, LICENSE]
        return Path(snapshot_download(str(name), allow_patterns=allowed, local_files_only=offline()))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = "EMOEMBED_OFFLINE is set and it is not in the cache" if offline() else str(error)
        raise MissingFileError(f"checkpoint {str(name)!r} could not be had from the hub: {reason}") from error


def save(
    model: EmotionModel,
    folder: str | Path,
    *,
    words: WordTable | None = None,
    card: str = "",
    license_text: str = "",
) -> None:
    """Write a checkpoint whole or not at all; where one stands, it stands until the new one takes its place.

    Args:
        model: to write.
        folder: of its own; a checkpoint there is replaced.
        words: a word table to ship beside a model whose labels come from its sentence encoder.
        card: text of its README.md.
        license_text: text of its LICENSE.

    Raises:
        CheckpointError: the folder holds other files, which a checkpoint must not displace.
        OutputError: it cannot be written, for want of space or of permission; the old checkpoint stands.
    """

    def fill(place: Path) -> None:
        config = {"version": VERSION, "config": model.config.to_dict(), "state": model.state.to_dict()}
        (place / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        weights = {name: _stored(value) for name, value in model.state_dict().items()}
        (place / WEIGHTS).write_bytes(safetensors.torch.save(weights))
        if isinstance(model.phrases, WordTable):
            write_word_table(model.phrases, place / WORDS)
        elif isinstance(model.phrases, SentenceEncoder):
            (place / TOKENIZER).write_text(model.phrases.tokenizer.to_str(pretty=True), encoding="utf-8")
        if words is not None:
            write_word_table(words, place / WORDS)
        for name, text in ((CARD, card), (LICENSE, license_text)):
            if text:
                (place / name).write_text(text, encoding="utf-8")
        write_checksums(place)

    atomic.write_folder(require_own_folder(folder), fill)


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of a checkpoint's files as they are now."""
    present = [name for name in (*CHECKED, CARD, LICENSE) if (folder / name).is_file()]
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in present}
    (folder / CHECKSUMS).write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")


def require_own_folder(folder: str | Path) -> Path:
    """A folder a checkpoint may be saved to, resolved; the one it lies in is made where it is not there yet.

    Raises:
        CheckpointError: it holds anything else, or cannot be written.
    """
    try:
        folder = Path(folder).resolve()
        if folder.is_file():
            raise CheckpointError(f"{folder} is a file; a checkpoint is a folder")
        held = sorted(path.name for path in folder.glob("*"))
        folder.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, links in a circle, a zero byte
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{str(folder)!r:.100} cannot be made: {error}") from error
    others = [name for name in held if name not in (*CHECKED, CHECKSUMS, CARD, LICENSE)]
    if others or (held and not {CHECKSUMS, CONFIG, WEIGHTS} <= set(held)):
        named = ", ".join((others or held)[:3])
        raise CheckpointError(f"{folder} holds files that are no checkpoint ({named}); save into a folder of its own")
    if not os.access(folder.parent, os.W_OK):
        raise CheckpointError(f"{folder} cannot be written: {folder.parent} is not writable")
    return folder


def load(folder: str | Path) -> EmotionModel:
    """Rebuild the model of a checkpoint folder, strictly, in evaluation mode.

    Raises:
        MissingFileError: a file is missing.
        CheckpointError: a file was altered, cut short or is not listed, or the version is not this release's.
    """
    folder = Path(folder)
    files = read_files(folder)
    try:
        values = dict(json.loads(files[CONFIG].decode("utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{folder / CONFIG} is damaged ({error}); fetch the checkpoint again") from error
    version = values.pop("version", None)
    if version not in (former.VERSION, VERSION):
        raise CheckpointError(
            f"{folder} is a checkpoint of version {version!r:.20}; this release reads versions {former.VERSION} and "
            f"{VERSION}"
        )
    try:
        weights = safetensors.torch.load(files.pop(WEIGHTS))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged ({error}); fetch the checkpoint again") from error
    if version == former.VERSION:
        weights = former.weights_of(weights)
    model = _built(values, weights, folder, version)
    stored = {name: value.to(model.state_dict()[name].dtype) for name, value in weights.items()}
    model.load_state_dict(stored, strict=True)
    broken = [name for name, value in model.named_parameters() if not bool(value.isfinite().all())]
    if broken:
        raise CheckpointError(f"{folder / WEIGHTS} holds NaN or infinite weights in {broken[0]}; train it again")
    _attach_phrases(model, files, folder)
    return model.eval()


def _built(values: dict[str, Any], weights: Mapping[str, torch.Tensor], folder: Path, version: int) -> EmotionModel:
    """A model from its configuration; its sizes are held to those of the weights before memory is taken for them."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        values = former.values_of(values) if version == former.VERSION else values
        if set(values) != {"config", "state"}:
            raise ValueError(f"it holds {', '.join(map(str, values))} in place of config and state")
        config, state = ModelConfig.from_dict(values["config"]), State.from_dict(values["state"])
        with torch.device("meta"):
            expected = {name: value.shape for name, value in EmotionModel(config, state=state).state_dict().items()}
    except (
        *(KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RuntimeError, AssertionError),
        *(RecursionError, StrictDataclassError),
    ) as error:
        raise CheckpointError(f"{folder / CONFIG} does not describe a model of this release: {error!r:.300}") from error
    found = {name: value.shape for name, value in weights.items()}
    if found != expected:
        name = min(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        shapes = [
            f"{tuple(shape)}" if shape is not None else "nothing" for shape in (expected.get(name), found.get(name))
        ]
        raise CheckpointError(
            f"{folder / WEIGHTS} does not hold the weights its {CONFIG} describes: of {name} {shapes[0]} is expected "
            f"and {shapes[1]} is there"
        )
    return EmotionModel(config, state=state)


def _attach_phrases(model: EmotionModel, files: Mapping[str, bytes], folder: Path) -> None:
    """Give a model the phrase encoder its configuration names."""
    needed = WORDS if model.config.phrases == "table" else TOKENIZER
    if needed not in files:
        raise MissingFileError(f"{folder} lacks {needed}, from which its labels get their vectors; fetch it again")
    if model.config.phrases == "table":
        model.phrases = _word_table(files[WORDS], folder / WORDS)
        return
    encoder = model.modality("text").encoder if "text" in model.modalities else None
    if not isinstance(encoder, TransformerEncoder):
        raise CheckpointError(f"{folder / CONFIG} takes labels from a text transformer, and describes none")
    longest = min(getattr(encoder.trunk.config, "max_position_embeddings", 512), 512)
    model.phrases = SentenceEncoder(encoder, _tokenizer(files[TOKENIZER], folder / TOKENIZER, longest, encoder))


def _tokenizer(content: bytes, path: Path, longest: int, encoder: TransformerEncoder) -> Tokenizer:
    """A `tokenizers` file, without padding, cutting texts at the trunk's longest input."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(content.decode("utf-8"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(longest)
    except Exception as error:  # `tokenizers` raises bare Exception of whatever a file holds
        raise CheckpointError(f"{path} is no tokenizer ({error!s:.200}); fetch the checkpoint again") from error
    fault = tokenizer_fault(json.loads(content))
    if fault:
        raise CheckpointError(f"{path} {fault}; fetch the checkpoint again")
    probe = tokenizer.encode("joy")  # with the special tokens of its template
    largest = max([0, *tokenizer.get_vocab().values(), *probe.ids])
    rows = int(encoder.trunk.config.vocab_size)
    if largest >= rows or len(probe.ids) > longest:
        raise CheckpointError(f"{path} has word pieces up to {largest} and the encoder {rows}; fetch it again")
    return tokenizer


def read_word_table(path: Path | None = None) -> WordTable:
    """A word table in word2vec's binary form; without a path, the one that ships."""
    if path is None:
        folder = find_folder("base")
        return _word_table(read_files(folder, (WORDS,))[WORDS], folder / WORDS)
    if not path.is_file():
        raise MissingFileError(f"no word table at {path}")
    return _word_table(path.read_bytes(), path)


def _word_table(content: bytes, path: Path) -> WordTable:
    """Read word2vec's binary form (gensim reads it from a path alone, and what was checked is the bytes)."""
    header, _, _ = content[:64].partition(b"\n")
    require_declared_size(header, len(content), binary=True, path=path)
    count, dim = map(int, header.split())
    words, vectors, place = [], np.empty((count, dim), np.float32), len(header) + 1
    try:
        for row in range(count):
            end = content.index(b" ", place)
            words.append(content[place:end].decode("utf-8").lstrip("\n"))
            vectors[row] = np.frombuffer(content, "<f4", dim, end + 1)
            place = end + 1 + 4 * dim
    except ValueError as error:
        raise CheckpointError(f"{path} is no word table ({error}); fetch it again") from error
    return WordTable(words, vectors, name=f"the word table {path.parent.name}/{path.name}")


def write_word_table(words: WordTable, path: Path) -> None:
    """Write a word table in word2vec's binary form, which gensim and most other libraries read."""
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(words.dim)
    keyed.add_vectors(words.words, words.vectors.astype(np.float32))
    keyed.save_word2vec_format(str(path), binary=True)


def _stored(value: torch.Tensor) -> torch.Tensor:
    """Large weights are stored in half precision; counters, statistics and everything small as they are."""
    half = value.is_floating_point() and value.numel() >= 2048
    return (value.half() if half else value).contiguous()


def read_files(folder: str | Path, names: tuple[str, ...] = CHECKED) -> dict[str, bytes]:
    """The files of a checkpoint, of one state of its folder, each checked against its SHA-256.

    Its card and licence are checked too; where one of them was edited, a warning says so.

    Raises:
        MissingFileError: the folder, its checksums or a file that they list is missing.
        CheckpointError: a file was altered or cut short, or stands there and is not listed.
    """
    folder = Path(folder)
    with atomic.reading(folder) as held:
        listed = _listed(held, folder)
        files = {}
        for name in names:
            path = held / name
            if name not in listed:
                if path.is_file():
                    raise CheckpointError(f"{folder / CHECKSUMS} does not list {name}; fetch the checkpoint again")
                continue
            files[name] = _read(path, folder / name)
            if hashlib.sha256(files[name]).hexdigest() != listed[name]:
                raise CheckpointError(
                    f"{folder / name} is not the file that was saved (its SHA-256 differs); fetch the checkpoint again"
                )
        for name in (CARD, LICENSE) if names == CHECKED else ():
            path = held / name
            edited = path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != listed.get(name)
            if edited:
                warnings.warn(f"{folder / name} was edited after the checkpoint was saved", stacklevel=3)
    return files


def digest(folder: Path) -> str:
    """What tells one state of a checkpoint folder from another; empty where there are no checksums."""
    with atomic.reading(folder) as held:
        sums = held / CHECKSUMS
        return hashlib.sha256(sums.read_bytes()).hexdigest() if sums.is_file() else ""


def _read(path: Path, said: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{said} is no regular file; fetch the checkpoint again")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{said.parent} lacks {said.name}, which its {CHECKSUMS} lists; fetch the checkpoint again"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{said} cannot be read: {error.strerror}") from error


def _listed(held: Path, folder: Path) -> dict[str, str]:
    """Name -> SHA-256, as a checkpoint's checksums have it."""
    sums = held / CHECKSUMS
    if not sums.is_file():
        raise MissingFileError(f"{folder} is no checkpoint: it has no {CHECKSUMS}")
    try:
        listed = json.loads(sums.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / CHECKSUMS} is damaged ({error}); fetch the checkpoint again") from error
    if not isinstance(listed, dict) or not {CONFIG, WEIGHTS} <= set(listed):
        raise CheckpointError(f"{folder / CHECKSUMS} does not list {CONFIG} and {WEIGHTS}; fetch the checkpoint again")
    return listed


def _known() -> str:
    shipped = Path(str(resources.files("emoembed.checkpoints")))
    names = sorted(path.parent.name for path in shipped.glob(f"*/{CONFIG}"))
    return f"one of those that ship ({', '.join(names)})" if names else "one of those that ship (none found)"
