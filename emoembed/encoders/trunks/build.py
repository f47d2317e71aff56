"""Build a `transformers` model from its configuration, or read one with its weights. Its own code is never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from emoembed.encoders.trunks import bert
from emoembed.errors import CheckpointError

PREPARED = ("do_normalize", "image_mean", "image_std")
"""Extra keys in a transformer's configuration, for the preparation of its input in `reading.media`."""
MOST_LAYERS = 200


def build_trunk(config: dict[str, Any]) -> Any:
    """A randomly initialised `transformers` model from its configuration, or the same network from `trunks.bert`.

    Text: any encoder that AutoModel builds (BERT, MiniLM, RoBERTa, ...). Sound: wav2vec2, HuBERT, WavLM. Images: ViT,
    CLIP.
    """
    if "model_type" not in config:
        raise CheckpointError("this transformer's configuration has no model_type; add it, such as 'bert'")
    _require_plain(config, "a transformer's configuration")
    if bert.is_plain(config):
        return bert.Bert(config)
    from transformers import AutoConfig, AutoModel

    settings = {key: value for key, value in config.items() if key not in ("model_type", "auto_map", *PREPARED)}
    model_config: Any = AutoConfig.for_model(config["model_type"], **settings)
    if config["model_type"] == "bert":
        from transformers import BertModel

        return BertModel(model_config, add_pooling_layer=False)
    if config["model_type"] == "clip_vision_model":
        from transformers import CLIPVisionModel

        return CLIPVisionModel(model_config)
    return AutoModel.from_config(model_config, trust_remote_code=False)


def read_trunk(name: str | Path, *, offline: bool = False) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of a `transformers` model, from a hub id or a local folder. Its own code is never run.

    Raises:
        CheckpointError: the model does not exist, its weights are not safetensors, or it needs its own code.
    """
    from transformers import AutoConfig, AutoModel, CLIPVisionModel

    local = offline or Path(name).is_dir()
    _require_safetensors(name)
    try:
        model_config = AutoConfig.from_pretrained(str(name), local_files_only=local, trust_remote_code=False)
        _require_plain(model_config.to_dict(), str(name))
        family: Any = CLIPVisionModel if model_config.model_type.startswith("clip") else AutoModel
        options = {} if family is CLIPVisionModel else {"trust_remote_code": False}
        model = family.from_pretrained(str(name), local_files_only=local, use_safetensors=True, **options)
    except (OSError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = str(error)
        if "trust_remote_code" in reason or "custom code" in reason:
            raise CheckpointError(
                f"{name!s} has its own code, which emoembed never runs; give a model that transformers supports"
            ) from error
        if "safetensors" in reason:
            raise CheckpointError(f"{name!s} has no weights in safetensors format. {CONVERT}") from error
        raise CheckpointError(
            f"no transformer at {name!s}: give a folder with config.json and weights, or a hub id when online"
        ) from error
    config = model.config.to_diff_dict()
    trunk = build_trunk({**config, "model_type": model.config.model_type})
    weights = {name: value for name, value in model.state_dict().items() if name in trunk.state_dict()}
    return {**config, "model_type": model.config.model_type}, weights


CONVERT = (
    "Other weight formats are pickles and can run code; if you trust the file, convert it: "
    "transformers.AutoModel.from_pretrained(NAME).save_pretrained(FOLDER)"
)


def _require_safetensors(name: str | Path) -> None:
    """Raise CheckpointError if a folder has weights only in other formats."""
    folder = Path(name)
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    weight_files = [
        path.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack") for path in folder.glob(kind)
    ]
    if weight_files:
        raise CheckpointError(
            f"the weights of {folder} are {', '.join(sorted(weight_files)[:3])}, which are not read. {CONVERT}"
        )


def _require_plain(config: dict[str, Any], where: str) -> None:
    """Raise CheckpointError for a configuration that downloads code, is quantised, or has too many layers to build."""
    attention = config.get("_attn_implementation") or config.get("attn_implementation")
    if isinstance(attention, str) and "/" in attention:
        raise CheckpointError(
            f"{where} takes its attention from {attention!r:.80}, which is code; emoembed does not download code"
        )
    if config.get("quantization_config"):
        raise CheckpointError(
            f"{where} is quantised, which emoembed cannot read; give the original model that is not quantised"
        )
    layers = config.get("num_hidden_layers", 0)
    if not isinstance(layers, int) or not 0 <= layers <= MOST_LAYERS:
        raise CheckpointError(f"{where} has {layers!r:.40} layers; at most {MOST_LAYERS} are built")
