"""A transformer from `transformers`: built from its configuration, or read with its weights; nothing of it is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from emoembed.errors import CheckpointError

if TYPE_CHECKING:
    pass

PREPARED = ("do_normalize", "image_mean", "image_std")
"""Beside a transformer's own configuration: how `reading.media` prepares its input."""
MOST_LAYERS = 200


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
