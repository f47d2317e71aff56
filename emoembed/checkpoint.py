"""Checkpoints: `config.json` and `model.safetensors` (fp16), with tokenizer or word table, checksummed.

No pickle is written or read. A folder is complete when every file `checksums.json` lists is there, unaltered.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file

from emoembed.errors import CheckpointError, InputError, MissingFileError
from emoembed.model import EmotionModel
from emoembed.model_config import ModelConfig
from emoembed.transformer import SentenceEncoder, TransformerEncoder
from emoembed.words import WordTable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VERSION = 3
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
        if (folder / CONFIG).is_file():
            return folder
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
    """Write a checkpoint whole or not at all: into a temporary folder beside it, then a rename.

    Args:
        model: to write.
        folder: of its own; a checkpoint there is replaced.
        words: a word table to ship beside a model whose labels come from its sentence encoder.
        card: text of its README.md.
        license_text: text of its LICENSE.

    Raises:
        CheckpointError: the folder holds other files, which a checkpoint must not displace.
    """
    folder = require_own_folder(folder)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        config = {"version": VERSION, **model.config.to_dict()}
        (temporary / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        weights = {name: _stored(value) for name, value in model.state_dict().items()}
        save_file(weights, temporary / WEIGHTS)
        _save_phrases(model, temporary)
        if words is not None:
            write_word_table(words, temporary / WORDS)
        present = [name for name in CHECKED if (temporary / name).is_file()]
        sums = {name: hashlib.sha256((temporary / name).read_bytes()).hexdigest() for name in present}
        (temporary / CHECKSUMS).write_text(json.dumps(sums, indent=1) + "\n")
        if card:
            (temporary / CARD).write_text(card, encoding="utf-8")
        if license_text:
            (temporary / LICENSE).write_text(license_text, encoding="utf-8")
        for path in temporary.iterdir():
            path.chmod(0o644)
        _replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_own_folder(folder: str | Path) -> Path:
    """A folder a checkpoint may be saved to, resolved; the one it lies in is made where it is not there yet.

    Raises:
        CheckpointError: it holds anything else, or cannot be written.
    """
    folder = Path(folder).resolve()
    if folder.is_file():
        raise CheckpointError(f"{folder} is a file; a checkpoint is a folder")
    others = sorted(path.name for path in folder.glob("*") if path.name not in (*CHECKED, CHECKSUMS, CARD, LICENSE))
    if others:
        raise CheckpointError(f"{folder} holds other files ({', '.join(others[:3])}); save into a folder of its own")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be made: {error}") from error
    if not os.access(folder.parent, os.W_OK):
        raise CheckpointError(f"{folder} cannot be written: {folder.parent} is not writable")
    return folder


def load(folder: str | Path) -> EmotionModel:
    """Rebuild the model of a checkpoint folder, strictly, in evaluation mode.

    Raises:
        MissingFileError: a file is missing.
        CheckpointError: a file was altered or cut short, or the version is not this release's.
    """
    folder = Path(folder)
    verify(folder)
    values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    version = values.pop("version", None)
    if version != VERSION:
        raise CheckpointError(f"{folder} is a checkpoint of version {version}; this release reads version {VERSION}")
    try:
        model = EmotionModel(ModelConfig.from_dict(values))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG} does not describe a model of this release: {error!r}") from error
    try:
        weights = load_file(folder / WEIGHTS)
        stored = {name: value.to(model.state_dict()[name].dtype) for name, value in weights.items()}
        model.load_state_dict(stored, strict=True)
    except (KeyError, RuntimeError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{folder / WEIGHTS} does not hold the weights its {CONFIG} describes: {error}"
        ) from error
    attach_phrases(model, folder)
    return model.eval()


def attach_phrases(model: EmotionModel, folder: Path) -> None:
    """Give a model the phrase encoder its configuration names, from the files of a checkpoint folder."""
    if model.config.phrases == "table":
        model.phrases = read_word_table(folder / WORDS)
        return
    encoder = model.encoders["text"]
    assert isinstance(encoder, TransformerEncoder)
    positions = getattr(encoder.trunk.config, "max_position_embeddings", 512)
    model.phrases = SentenceEncoder(encoder, read_tokenizer(folder / TOKENIZER, min(positions, 512)))


def read_tokenizer(path: Path, longest: int) -> Tokenizer:
    """A `tokenizers` file, without padding, cutting texts at the trunk's longest input."""
    from tokenizers import Tokenizer

    if not path.is_file():
        raise MissingFileError(f"no tokenizer at {path}")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return tokenizer


def read_word_table(path: Path | None = None) -> WordTable:
    """A word table in word2vec's binary form; without a path, the one that ships."""
    from gensim.models import KeyedVectors

    path = path or find_folder("base") / WORDS
    if not path.is_file():
        raise MissingFileError(f"no word table at {path}")
    keyed = KeyedVectors.load_word2vec_format(str(path), binary=True)
    return WordTable(keyed.index_to_key, keyed.vectors, name=f"the word table {path.parent.name}/{path.name}")


def write_word_table(words: WordTable, path: Path) -> None:
    """Write a word table in word2vec's binary form, which gensim and most other libraries read."""
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(words.dim)
    keyed.add_vectors(words.words, words.vectors.astype(np.float32))
    keyed.save_word2vec_format(str(path), binary=True)


def _save_phrases(model: EmotionModel, folder: Path) -> None:
    if isinstance(model.phrases, WordTable):
        write_word_table(model.phrases, folder / WORDS)
    elif isinstance(model.phrases, SentenceEncoder):
        model.phrases.tokenizer.save(str(folder / TOKENIZER))


def _stored(value: torch.Tensor) -> torch.Tensor:
    """Large weights are stored in half precision; counters, statistics and everything small as they are."""
    half = value.is_floating_point() and value.numel() >= 2048
    return (value.half() if half else value).contiguous()


def verify(folder: Path) -> None:
    """Check a checkpoint folder's files against their SHA-256.

    Raises:
        MissingFileError: a file is missing.
        CheckpointError: a file was altered or cut short.
    """
    sums = folder / CHECKSUMS
    if not sums.is_file():
        raise MissingFileError(f"{folder} is no checkpoint: it has no {CHECKSUMS}")
    try:
        listed = dict(json.loads(sums.read_text()))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{sums} is damaged ({error}); fetch the checkpoint again") from error
    if not {CONFIG, WEIGHTS} <= set(listed):
        raise CheckpointError(f"{sums} does not list {CONFIG} and {WEIGHTS}; fetch the checkpoint again")
    for name, expected in listed.items():
        path = folder / name
        if not path.is_file():
            raise MissingFileError(f"{folder} lacks {name}, which its {CHECKSUMS} lists; fetch the checkpoint again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise CheckpointError(
                f"{path} is not the file that was saved (its SHA-256 differs); fetch the checkpoint again"
            )


def _replace(temporary: Path, folder: Path) -> None:
    """Put a finished folder in another's place; the old one goes only once the new one stands."""
    old = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    folder.chmod(0o755)
    shutil.rmtree(old, ignore_errors=True)


def _known() -> str:
    shipped = Path(str(resources.files("emoembed.checkpoints")))
    names = sorted(path.parent.name for path in shipped.glob(f"*/{CONFIG}"))
    return f"one of those that ship ({', '.join(names)})" if names else "one of those that ship (none found)"
