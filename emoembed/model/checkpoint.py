"""Checkpoints: `config.json` and `model.safetensors` (fp16), a tokenizer or a word table, and checksums.

No pickle is written or read. A save replaces the whole folder in one step (`features.atomic`): a process that reads at
the same time gets either the old or the new checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch.overrides import TorchFunctionMode

from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import CheckpointError, MissingFileError
from emoembed.features import atomic
from emoembed.features.text import require_declared_size
from emoembed.labels.phrases import SentenceEncoder, WordTable
from emoembed.model.checkpoint_files import (
    CARD,
    CONFIG,
    LICENSE,
    TOKENIZER,
    WEIGHTS,
    WORDS,
    find_folder,
    read_files,
    require_own_folder,
    write_checksums,
)
from emoembed.model.config import ModelConfig
from emoembed.model.device import require_no_fork
from emoembed.model.model import EmotionModel
from emoembed.model.state import State
from emoembed.model.tokenizer_files import tokenizer_fault

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VERSION = 7
TAKEN = ("sentence_encoder", "label_space")  # provenance that a model takes from its base


def save(
    model: EmotionModel,
    folder: str | Path,
    *,
    words: WordTable | None = None,
    card: str = "",
    license_text: str = "",
) -> None:
    """Write a complete checkpoint or nothing. An old checkpoint stays until the new checkpoint replaces it.

    Args:
        model: the model to save.
        folder: a folder for this checkpoint only; an old checkpoint in it is replaced.
        words: a word table to save with a model whose labels come from its sentence encoder.
        card: text of README.md.
        license_text: text of LICENSE.

    Raises:
        CheckpointError: the folder contains other files, which a checkpoint must not replace.
        OutputError: no space or no permission to write; the old checkpoint stays.
        InputError: this process is a fork in which torch would hang; see `device.require_no_fork`.
    """
    require_no_fork()

    def fill(target: Path) -> None:
        config = {"version": VERSION, "config": model.config.to_dict(), "state": model.state.to_dict()}
        (target / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        weights = {name: _to_storage(value) for name, value in model.state_dict().items()}
        (target / WEIGHTS).write_bytes(safetensors.torch.save(weights))
        if isinstance(model.phrases, WordTable):
            write_word_table(model.phrases, target / WORDS)
        elif isinstance(model.phrases, SentenceEncoder):
            (target / TOKENIZER).write_text(model.phrases.tokenizer.to_str(pretty=True), encoding="utf-8")
        if words is not None:
            write_word_table(words, target / WORDS)
        for name, text in ((CARD, card), (LICENSE, license_text)):
            if text:
                (target / name).write_text(text, encoding="utf-8")
        write_checksums(target)

    atomic.write_folder(require_own_folder(folder), fill)


def load(folder: str | Path) -> EmotionModel:
    """Rebuild the model of a checkpoint folder, with strict checks, in evaluation mode.

    Raises:
        MissingFileError: a file is missing.
        CheckpointError: a file was changed, truncated or is not listed, or this release cannot read the version.
        InputError: this process is a fork in which torch would hang; see `device.require_no_fork`.
    """
    require_no_fork()
    folder = Path(folder)
    files = read_files(folder)
    try:
        values = dict(json.loads(files[CONFIG].decode("utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{folder / CONFIG} is damaged ({error}); fetch the checkpoint again") from error
    version = values.pop("version", None)
    if version != VERSION:
        raise CheckpointError(
            f"{folder} is a checkpoint of version {version!r:.20}; this release reads version {VERSION}; use a release "
            "that reads it, or train it again"
        )
    try:
        weights = safetensors.torch.load(files.pop(WEIGHTS))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged ({error}); fetch the checkpoint again") from error
    model = _build_model(values, weights, folder)
    stored = {name: value.to(model.state_dict()[name].dtype) for name, value in weights.items()}
    model.load_state_dict(stored, strict=True)
    nonfinite_names = [name for name, value in model.named_parameters() if not bool(value.isfinite().all())]
    if nonfinite_names:
        raise CheckpointError(f"{folder / WEIGHTS} has NaN or infinite weights in {nonfinite_names[0]}; train it again")
    _attach_phrases(model, files, folder)
    return model.eval()


def _build_model(values: dict[str, Any], weights: Mapping[str, torch.Tensor], folder: Path) -> EmotionModel:
    """Build a model from its configuration. The shapes are compared with the weights before memory is allocated."""
    try:
        if set(values) != {"config", "state"}:
            raise ValueError(f"the keys must be config and state; given {', '.join(map(str, values))}")
        config, state = ModelConfig.from_dict(values["config"]), State.from_dict(values["state"])
        with torch.device("meta"), _Uninitialised():
            expected = {name: value.shape for name, value in EmotionModel(config, state=state).state_dict().items()}
    except (
        *(KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RuntimeError, AssertionError),
        *(RecursionError, _error_of_transformers()),
    ) as error:
        raise CheckpointError(f"{folder / CONFIG} does not describe a model of this release: {error!r:.300}") from error
    shapes = {name: value.shape for name, value in weights.items()}
    if shapes != expected:
        name = min(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
        expected_shape, stored_shape = (
            f"{tuple(shape)}" if shape is not None else "none" for shape in (expected.get(name), shapes.get(name))
        )
        raise CheckpointError(
            f"{folder / WEIGHTS} does not match its {CONFIG}: the shape of {name} must be {expected_shape} and is "
            f"{stored_shape}; fetch the checkpoint again"
        )
    with _Uninitialised():
        return EmotionModel(config, state=state)


class _Uninitialised(TorchFunctionMode):
    """Within this context, `torch.nn.init` does nothing: all weights are read from a file afterwards.

    On the device "meta", random numbers would also import torch's compiler.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))


def _error_of_transformers() -> type[Exception]:
    """The errors that a configuration of transformers raises for a wrong value. Only called after an error."""
    from huggingface_hub.errors import StrictDataclassError

    return StrictDataclassError


def _attach_phrases(model: EmotionModel, files: Mapping[str, bytes], folder: Path) -> None:
    """Set the phrase encoder that a model's configuration names."""
    name = WORDS if model.config.phrases == "table" else TOKENIZER
    if name not in files:
        raise MissingFileError(f"{folder} lacks {name}, which embeds its labels; fetch the checkpoint again")
    if model.config.phrases == "table":
        model.phrases = _parse_word_table(files[WORDS], folder / WORDS)
        return
    encoder = model.modality("text").encoder if "text" in model.modalities else None
    if not isinstance(encoder, TransformerEncoder):
        raise CheckpointError(
            f"{folder / CONFIG} says that a text transformer embeds the labels, but it describes none; fetch it again"
        )
    longest = min(getattr(encoder.trunk.config, "max_position_embeddings", 512), 512)
    model.phrases = SentenceEncoder(encoder, _load_tokenizer(files[TOKENIZER], folder / TOKENIZER, longest, encoder))


def _load_tokenizer(content: bytes, path: Path, longest: int, encoder: TransformerEncoder) -> Tokenizer:
    """Load a `tokenizers` file. The tokenizer does not pad, and truncates texts at the trunk's maximum length."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(content.decode("utf-8"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(longest)
    except Exception as error:  # `tokenizers` raises a bare Exception for any fault
        raise CheckpointError(f"{path} is not a tokenizer file ({error!s:.200}); fetch the checkpoint again") from error
    fault = tokenizer_fault(json.loads(content))
    if fault:
        raise CheckpointError(f"{path} {fault}; fetch the checkpoint again")
    probe = tokenizer.encode("joy")  # includes the special tokens
    largest = max([0, *tokenizer.get_vocab().values(), *probe.ids])
    rows = int(encoder.trunk.config.vocab_size)
    if largest >= rows:
        raise CheckpointError(f"{path} has token ids up to {largest} and the encoder {rows} tokens; fetch it again")
    if len(probe.ids) > longest:
        raise CheckpointError(
            f"{path} adds {len(probe.ids)} tokens to a short text, more than the {longest} that the encoder reads; "
            "fetch it again"
        )
    return tokenizer


def read_word_table(path: Path | None = None) -> WordTable:
    """Read a word table in word2vec's binary format; without a path, the shipped one."""
    if path is None:
        folder = find_folder("base")
        return _parse_word_table(read_files(folder, (WORDS,))[WORDS], folder / WORDS)
    if not path.is_file():
        raise MissingFileError(f"no word table at {path}; give a file in word2vec's binary format")
    return _parse_word_table(path.read_bytes(), path)


def _parse_word_table(content: bytes, path: Path) -> WordTable:
    """Parse word2vec's binary format from the checked bytes; gensim can read it only from a path."""
    header, _, _ = content[:64].partition(b"\n")
    require_declared_size(header, len(content), binary=True, path=path)
    count, dim = map(int, header.split())
    words, vectors, offset = [], np.empty((count, dim), np.float32), len(header) + 1
    try:
        for row in range(count):
            end = content.index(b" ", offset)
            words.append(content[offset:end].decode("utf-8").lstrip("\n"))
            vectors[row] = np.frombuffer(content, "<f4", dim, end + 1)
            offset = end + 1 + 4 * dim
    except ValueError as error:
        raise CheckpointError(f"{path} is not a word table ({error}); fetch it again") from error
    return WordTable(words, vectors, name=f"the word table {path.parent.name}/{path.name}")


def write_word_table(words: WordTable, path: Path) -> None:
    """Write a word table in word2vec's binary format, which gensim and most other libraries read."""
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(words.dim)
    keyed.add_vectors(words.words, words.vectors.astype(np.float32))
    keyed.save_word2vec_format(str(path), binary=True)


def _to_storage(value: torch.Tensor) -> torch.Tensor:
    """Convert large weights to half precision. Counters, statistics and small tensors stay unchanged."""
    half = value.is_floating_point() and value.numel() >= 2048
    return (value.half() if half else value).contiguous()
