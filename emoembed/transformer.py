"""Transformer encoders from `transformers`, with optional low-rank adapters, one per modality if wanted.

Text takes token ids `(batch, time, 1)`, sound takes samples `(batch, time, 1)` at 16 kHz, and images take pixels
`(batch, time, channels * side * side)`: the same float32 arrays as every other encoder.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import linear, normalize

from emoembed.errors import CheckpointError, InputError, LabelError
from emoembed.layers import padding_mask
from emoembed.words import NEUTRAL_POLE, VAD_DIM

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PREPARED = ("do_normalize", "image_mean", "image_std")
"""Beside a transformer's own configuration: how `media` prepares its input."""
IMAGES_AT_ONCE = 64
"""That a transformer reads together where no gradient is asked for."""
MOST_LAYERS = 200
ADAPTED = (
    *("query", "key", "value", "dense", "q_proj", "k_proj", "v_proj", "out_proj", "o_proj", "fc1", "fc2"),
    *("q", "k", "v", "o", "q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2", "Wqkv", "Wi", "Wo"),
)
"""Endings of the linear layers that get adapters, over the model families named in `build_trunk` and their kin."""


class LowRankAdapters(nn.Module):
    """Low-rank changes to a frozen network's linear layers (LoRA, Hu et al. 2021, section 4.1).

    `strength` scales them all: 0 is the untouched network, 1 the trained one, and between them lies weight
    interpolation (WiSE-FT, Wortsman et al. 2022).
    """

    def __init__(self, trunk: nn.Module, rank: int, strength: float = 1.0) -> None:
        super().__init__()
        self.strength = strength
        self.names: dict[str, str] = {}
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, module in trunk.named_modules():
            if isinstance(module, nn.Linear) and name.split(".")[-1] in ADAPTED:
                key = name.replace(".", "/")
                self.names[key] = f"{name}.weight"
                self.down[key] = nn.Parameter(torch.randn(rank, module.in_features) / module.in_features**0.5)
                self.up[key] = nn.Parameter(torch.zeros(module.out_features, rank))
        if not self.names:
            raise CheckpointError(f"no layer of {type(trunk).__name__} has a name that adapters know; take rank 0")

    def weights(self, trunk: nn.Module) -> dict[str, Tensor]:
        """The adapted weights by parameter name: W + strength * up @ down."""
        frozen = dict(trunk.named_parameters())
        return {
            name: frozen[name] + self.strength * (self.up[key] @ self.down[key]).to(frozen[name].dtype)
            for key, name in self.names.items()
        }

    def size(self) -> Tensor:
        """Mean squared change of the adapted weights: what a stay-close penalty holds down."""
        return torch.stack([_mean_square(self.up[key], self.down[key]) for key in self.names]).mean()

    @contextmanager
    def beside(self, trunk: nn.Module) -> Iterator[set[str]]:
        """Within it each adapted layer's output has its adapter's added: W x + strength * up (down x).

        The same as `weights` in place of the layers' own, without a gradient of their size. Yields the keys of the
        layers that were called: a network may read a layer's weights without calling it.
        """
        handles = []
        called: set[str] = set()
        for key, name in self.names.items():

            def add(_: nn.Module, given: tuple[Tensor, ...], out: Tensor, key: str = key) -> Tensor:
                called.add(key)
                return out + self.strength * linear(linear(given[0], self.down[key]), self.up[key])

            handles.append(trunk.get_submodule(name.removesuffix(".weight")).register_forward_hook(add))
        try:
            yield called
        finally:
            for handle in handles:
                handle.remove()


class TransformerEncoder(nn.Module):
    """A `transformers` model, masked mean over its last hidden states, and a linear map when sizes differ.

    Args:
        trunk_config: the model's own configuration, as its `config.json` holds it.
        embed_dim: size of the result.
        rank: of the low-rank adapters; 0 trains nothing of the trunk.
        strength: of the adapters, see `LowRankAdapters`.
        vad_share: how much of a point is the text's own valence, arousal and dominance, in its first four columns,
            read from the mean hidden state by a linear layer; 0 for none of it.
    """

    trunk: Any  # a transformers model: its attributes differ by family

    def __init__(
        self,
        trunk_config: dict[str, Any],
        embed_dim: int,
        rank: int = 0,
        strength: float = 1.0,
        vad_share: float = 0.0,
    ) -> None:
        super().__init__()
        self.vad_share = vad_share
        self.trunk = build_trunk(trunk_config).requires_grad_(False).eval()  # it embeds labels: never with dropout
        hidden = self.trunk.config.hidden_size
        self.adapters = LowRankAdapters(self.trunk, rank, strength) if rank else None
        meaning = embed_dim - VAD_DIM if vad_share else embed_dim
        self.features_dim = hidden
        self.out = nn.Identity() if hidden == meaning else nn.Linear(hidden, meaning)
        self.ratings = nn.Linear(hidden, 3).requires_grad_(False) if vad_share else None  # see `closed_form.rate_texts`
        if self.ratings is not None:  # until it is fitted every text is as neutral as the next
            nn.init.zeros_(self.ratings.weight)
            nn.init.zeros_(self.ratings.bias)
        self._calls_all = True  # of the layers that have adapters, until one is found that is not called
        self._merged: list[Any] = []  # the adapted trunk, in a list so that it is no part of the weights

    def train(self, mode: bool = True) -> TransformerEncoder:
        """Training mode for the adapters; the merged trunk is forgotten, and the trunk never drops units."""
        self._merged = []
        super().train(mode)
        self.trunk.eval()
        return self

    def _load_from_state_dict(self, *args: Any, **named: Any) -> None:
        """Other weights: the merged trunk is of the ones before."""
        self._merged = []
        super()._load_from_state_dict(*args, **named)

    def _apply(self, fn: Any, recurse: bool = True) -> TransformerEncoder:
        """Moving to another device or type: the merged trunk is forgotten here too."""
        self._merged = []
        super()._apply(fn, recurse)
        return self

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, embed_dim)`"""
        return self.place(self.read(frames, lengths))

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What the point is made from: the mean hidden state `(batch, features_dim)`."""
        return self.hidden_mean(frames, lengths, adapted=True).to(frames.dtype)

    def place(self, mean: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        if self.ratings is None:
            return self.out(mean)
        with torch.autocast(mean.device.type, enabled=False):
            rated = self.ratings(normalize(mean.float(), dim=-1))
        rated = normalize(torch.cat([rated, torch.full_like(rated[:, :1], NEUTRAL_POLE)], dim=-1), dim=-1)
        meaning = normalize(self.out(mean).float(), dim=-1)
        return torch.cat([self.vad_share**0.5 * rated, (1 - self.vad_share) ** 0.5 * meaning], dim=-1)

    def hidden_mean(self, frames: Tensor, lengths: Tensor, *, adapted: bool) -> Tensor:
        """Masked mean of the last hidden states, `(batch, hidden)`, with or without the adapters."""
        if not adapted or self.adapters is None:
            states, counts = _hidden_states(self.trunk, frames, lengths)
        elif self.training or torch.is_grad_enabled():
            with _attention_to_learn_with(frames.device):
                states, counts = self._learning_states(self.adapters, frames, lengths)
        else:
            states, counts = _hidden_states(self._merged_trunk(), frames, lengths)
        mask = padding_mask(counts, states.shape[1])[..., None]
        return states.float().masked_fill(~mask, 0.0).sum(dim=1) / counts[:, None]

    def _learning_states(self, adapters: LowRankAdapters, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states with the adapters as they are now, gradients included."""
        if self._calls_all:
            with adapters.beside(self.trunk) as called:
                found = _hidden_states(self.trunk, frames, lengths)
            self._calls_all = len(called) == len(adapters.names)  # WavLM's attention reads its layers' weights
            if self._calls_all:
                return found
        return _hidden_states(self.trunk, frames, lengths, adapters.weights(self.trunk))

    def _merged_trunk(self) -> Any:
        """The trunk with the adapters in its weights, made once."""
        assert self.adapters is not None
        if not self._merged:
            merged = copy.deepcopy(self.trunk)
            merged.load_state_dict(self.adapters.weights(self.trunk), strict=False)  # all else stays as copied
            self._merged = [merged]
        return self._merged[0]


def ratings_of(points: Tensor) -> Tensor:
    """Valence, arousal and dominance `(items, 3)` in points whose first four columns hold their direction."""
    return NEUTRAL_POLE * points[:, :3] / points[:, 3:4].clamp(min=1e-6)


class SentenceEncoder:
    """A text trunk without its adapters, as the phrase encoder of label names."""

    def __init__(self, encoder: TransformerEncoder, tokenizer: Tokenizer) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer
        self._unknown = next((i for t in ("[UNK]", "<unk>") if (i := tokenizer.token_to_id(t)) is not None), -1)

    @property
    def dim(self) -> int:
        return int(self.encoder.trunk.config.hidden_size)

    def token_ids(self, phrases: Sequence[str]) -> list[list[int] | None]:
        """Each phrase's token ids; None where none of them is a known word or piece of one."""
        whole = [phrase.encode("utf-8", "replace").decode() for phrase in phrases]  # lone surrogates are no text
        known = []
        for encoding in self.tokenizer.encode_batch(whole):
            special = zip(encoding.special_tokens_mask, encoding.ids, strict=True)
            known.append(encoding.ids if any(not mark and i != self._unknown for mark, i in special) else None)
        return known

    def pieces(self, text: str) -> tuple[list[int] | None, int]:
        """A text's token ids as `token_ids` gives them, and how many it has with those that are cut off."""
        encoding = self.tokenizer.encode(text.encode("utf-8", "replace").decode())
        special = zip(encoding.special_tokens_mask, encoding.ids, strict=True)
        known = any(not mark and i != self._unknown for mark, i in special)
        marks = sum(encoding.special_tokens_mask)
        return encoding.ids if known else None, len(encoding.ids) + sum(
            len(further.ids) - marks for further in encoding.overflowing
        )

    @torch.no_grad()
    def phrase_vectors(self, phrases: Sequence[str]) -> Tensor:
        """Phrases -> `(len(phrases), hidden)`, rows of length one. Raises LabelError for one of no known word."""
        device = next(self.encoder.trunk.parameters()).device
        ids = self.token_ids(phrases)
        for phrase, known in zip(phrases, ids, strict=True):
            if known is None:
                raise LabelError(f"nothing in {phrase!r} is known to this model, which reads English")
        whole = [known or [] for known in ids]
        order = sorted(range(len(whole)), key=lambda i: len(whole[i]))  # batches of like length waste least
        found = torch.zeros(len(whole), self.dim, device=device)
        for start in range(0, len(order), 256):
            rows = order[start : start + 256]
            lengths = torch.tensor([len(whole[i]) for i in rows], device=device)
            frames = torch.zeros(len(rows), int(lengths.max()), 1, device=device)
            for row, i in zip(frames, rows, strict=True):
                row[: len(whole[i]), 0] = torch.tensor(whole[i], dtype=torch.float32)
            found[rows] = self.encoder.hidden_mean(frames, lengths, adapted=False).float()
        return normalize(found, dim=-1)


def build_trunk(config: dict[str, Any]) -> Any:
    """A randomly initialised `transformers` model from its configuration.

    Text: any encoder AutoModel builds (BERT, MiniLM, RoBERTa, ...). Sound: wav2vec2, HuBERT, WavLM. Images: ViT, CLIP.
    """
    from transformers import AutoConfig, AutoModel

    if "model_type" not in config:
        raise CheckpointError("a transformer's configuration names its model_type; this one does not")
    _require_plain(config, "a transformer's configuration")
    settings = {key: value for key, value in config.items() if key not in ("model_type", "auto_map", *PREPARED)}
    described: Any = AutoConfig.for_model(config["model_type"], **settings)
    if config["model_type"] == "bert":
        from transformers import BertModel

        return BertModel(described, add_pooling_layer=False)
    if config["model_type"] == "clip_vision_model":
        from transformers import CLIPVisionModel

        return CLIPVisionModel(described)
    return AutoModel.from_config(described, trust_remote_code=False)


def read_trunk(name: str | Path, *, offline: bool = False) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of a `transformers` model, by hub id or local folder; nothing in it is run.

    Raises:
        CheckpointError: there is none, its weights are not safetensors, or it asks for code of its own.
    """
    from transformers import AutoConfig, AutoModel, CLIPVisionModel

    local = offline or Path(name).is_dir()
    _require_safetensors(name)
    try:
        described = AutoConfig.from_pretrained(str(name), local_files_only=local, trust_remote_code=False)
        _require_plain(described.to_dict(), str(name))
        family: Any = CLIPVisionModel if described.model_type.startswith("clip") else AutoModel
        code = {} if family is CLIPVisionModel else {"trust_remote_code": False}
        model = family.from_pretrained(str(name), local_files_only=local, use_safetensors=True, **code)
    except (OSError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = str(error)
        if "trust_remote_code" in reason or "custom code" in reason:
            raise CheckpointError(
                f"{name!s} brings code of its own, which is never run; take a model that transformers knows"
            ) from error
        if "safetensors" in reason:
            raise CheckpointError(f"{name!s} holds no safetensors. {CONVERT}") from error
        raise CheckpointError(
            f"no transformer at {name!s}: give a folder with config.json and weights, or a hub id when online"
        ) from error
    config = model.config.to_diff_dict()
    trunk = build_trunk({**config, "model_type": model.config.model_type})
    weights = {name: value for name, value in model.state_dict().items() if name in trunk.state_dict()}
    return {**config, "model_type": model.config.model_type}, weights


CONVERT = (
    "Other forms of weights are pickles and may run code; where you trust the file, convert it: "
    "transformers.AutoModel.from_pretrained(NAME).save_pretrained(FOLDER)"
)


def _require_safetensors(name: str | Path) -> None:
    """Raise CheckpointError for a folder whose weights are in another form."""
    folder = Path(name)
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    others = [
        path.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack") for path in folder.glob(kind)
    ]
    if others:
        raise CheckpointError(
            f"the weights of {folder} are {', '.join(sorted(others)[:3])}, which are not read. {CONVERT}"
        )


def _require_plain(config: dict[str, Any], where: str) -> None:
    """Raise CheckpointError for a configuration that makes `transformers` fetch and run something, or never end."""
    attention = config.get("_attn_implementation") or config.get("attn_implementation")
    if isinstance(attention, str) and "/" in attention:
        raise CheckpointError(f"{where} asks for attention from {attention!r:.80}, which is code; it is not fetched")
    if config.get("quantization_config"):
        raise CheckpointError(f"{where} is quantised, which is not read here; take the model it was made from")
    layers = config.get("num_hidden_layers", 0)
    if not isinstance(layers, int) or not 0 <= layers <= MOST_LAYERS:
        raise CheckpointError(f"{where} has {layers!r:.40} layers; at most {MOST_LAYERS} are built")


def _mean_square(up: Tensor, down: Tensor) -> Tensor:
    """Mean of the squared numbers of `up @ down`, without making it: the trace of two products of the rank's size."""
    return ((up.T @ up) * (down @ down.T)).sum() / (len(up) * down.shape[1])


def _attention_to_learn_with(device: torch.device) -> AbstractContextManager[Any]:
    """Plain attention on a CPU, where the fused one's gradient takes longer than all else in short sequences."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _by_length(trunk: Any, frames: Tensor, lengths: Tensor, weights: dict[str, Tensor] | None) -> tuple[Tensor, Tensor]:
    """`_hidden_states`, items of one length at a time: group norm over time (wav2vec2-base) would read padding."""
    counts = trunk._get_feat_extract_output_lengths(lengths)
    parts = []
    for length in lengths.unique().tolist():
        rows = (lengths == length).nonzero()[:, 0]
        states, _ = _hidden_states(trunk, frames[rows, :length], lengths[rows], weights)
        parts.append((rows, nn.functional.pad(states, (0, 0, 0, int(counts.max()) - states.shape[1]))))
    order = torch.cat([rows for rows, _ in parts]).argsort()
    return torch.cat([states for _, states in parts])[order], counts


def _hidden_states(
    trunk: Any, frames: Tensor, lengths: Tensor, weights: dict[str, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Last hidden states `(batch, steps, hidden)` and how many steps of each item are data.

    `weights` are called with in place of the trunk's own of the same names.
    """
    mask = padding_mask(lengths, frames.shape[1])
    config = trunk.config

    def call(**inputs: Tensor) -> Tensor:
        return (functional_call(trunk, weights, (), inputs) if weights else trunk(**inputs)).last_hidden_state

    if hasattr(config, "vocab_size") and not hasattr(config, "conv_stride"):
        return call(input_ids=frames[..., 0].long(), attention_mask=mask.long()), lengths
    if hasattr(config, "conv_stride"):
        if config.feat_extract_norm == "group" and len(set(lengths.tolist())) > 1:
            return _by_length(trunk, frames, lengths, weights)
        states = call(input_values=frames[..., 0], attention_mask=mask.long())
        return states, trunk._get_feat_extract_output_lengths(lengths)
    if hasattr(config, "image_size"):
        channels, side = getattr(config, "num_channels", 3), config.image_size
        pixels = frames[mask].view(-1, channels, side, side)
        parts = (pixels,) if torch.is_grad_enabled() else pixels.split(IMAGES_AT_ONCE)
        states = torch.cat([call(pixel_values=part).mean(dim=1) for part in parts])
        empty = states.new_zeros(*frames.shape[:2], states.shape[-1])
        return empty.masked_scatter(mask[..., None], states), lengths
    raise InputError(f"a {config.model_type} model takes neither tokens, samples nor pixels")
