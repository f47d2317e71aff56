"""The public functions `predict` and `load`: recognizers of checkpoints, each read from disk once."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args, overload

from emoembed.errors import InputError
from emoembed.labels.emotion import Labels
from emoembed.model import checkpoint_files
from emoembed.model.device import check_device, require_no_fork
from emoembed.model.model import EmotionModel
from emoembed.prediction.arguments import PredictOptions
from emoembed.prediction.licence import tell_licence
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.result import Result
from emoembed.prediction.result_list import Results
from emoembed.reading.cache import cache_folder

if TYPE_CHECKING:
    from emoembed.prediction.arguments import ItemList, MediaInput


@overload
def predict(
    text: str | None = None,
    audio: MediaInput = None,
    video: MediaInput = None,
    labels: Labels | None = None,
    *,
    model: str | Path = "base",
    device: str | None = None,
    **options: Unpack[PredictOptions],
) -> Result: ...
@overload
def predict(
    text: ItemList = None,
    audio: ItemList = None,
    video: ItemList = None,
    labels: Labels | None = None,
    *,
    model: str | Path = "base",
    device: str | None = None,
    **options: Unpack[PredictOptions],
) -> Results: ...
def predict(
    text: Any = None,
    audio: Any = None,
    video: Any = None,
    labels: Labels | None = None,
    *,
    model: str | Path = "base",
    device: str | None = None,
    **options: Unpack[PredictOptions],
) -> Result | Results:
    """Score any emotion names for a sentence, a recording and a face, alone or together.

    Args:
        text: a string or a list of strings. A table column counts as a list, here and below.
        audio: a recording or a list of recordings. A recording is a sound file or a video with a sound track (path,
            bytes or open file), `(samples, sampling_rate)`, or a dictionary such as
            `{"array": ..., "sampling_rate": 16000}`.
        video: a video or a list of videos. A video is a video or image file (path, bytes or open file), an array
            `(time, height, width, 3)` RGB, a Pillow picture, a torch tensor, or a dictionary such as
            `{"image": ..., "face": True}`, where `face` means that the picture shows only the face. A list inside the
            list holds the frames of one video.
        labels: a list of names or `Label` objects, or a dictionary of name to description. A description is a
            definition, or a dictionary with any of definition, synonyms, sounds, looks, valence, arousal, dominance.
            By default the checkpoint's own labels.
        model: the name of a checkpoint that ships, a folder, or a hub id.
        multi_label: each label gets its own probability. By default, the probabilities of all labels sum to one.
        abstain: True withholds unsure answers ("none of these": `label` is None and `abstained` is true), so that at
            most about 20 % of the given answers are wrong. A number from 0.05 to 0.5 sets another share. False, the
            default, answers every item. The thresholds come from validation rows of seen labels, scored with label
            lists. Some of these lists lack the right label, so that every answer is wrong.
        errors: "raise" raises an error for the first input that cannot be used. "skip" uses the inputs of an item that
            can be used, and puts the reasons for the others in `absent`. An item without any usable input gets no
            label and no scores.
        batch_size: how many items of a list are computed together, 32 by default. A larger batch is faster and needs
            more memory.
        candidate_labels: the same as `labels`, under the name that pipelines of transformers use.
        device: device to compute on, such as "cuda"; by default the CPU.

    Returns:
        A `Result`; for lists, `Results`: a list of them, whose `to_frame()` makes a table. In a list, None or NaN means
        that the item lacks the modality. The `notes` of a result warn, for example, of input that was cut or not
        understood.

    Raises:
        LabelError: no labels, an empty label, or two labels for the same emotion.
        InputError: no input, lists of different lengths, NaN, or an argument of the wrong type.
        MissingFileError: a file does not exist, and `errors` is "raise".
        MediaError: the only recording or video of an item has no usable content (for example, silence), and `errors` is
            "raise".

    Examples:
        >>> import emoembed
        >>> emoembed.predict("The old songs take me back to my childhood.", labels=["joy", "anger", "nostalgia"]).label
        'nostalgia'
        >>> results = emoembed.predict(["How dare you lie to me!", "I passed the exam!"], labels=["joy", "anger"])
        >>> [result.label for result in results]
        ['anger', 'joy']
    """
    results: Result | Results = _shared_recognizer(model, device).predict(text, audio, video, labels, **options)
    return results


Backend = Literal["torch", "onnx", "onnx-int8"]
"""The backend of the text encoder: torch, or ONNX Runtime with fp32 or int8."""


Precision = Literal["fp32", "bf16"]
"""The arithmetic of the encoders in `predict`."""


def load(
    name: str | Path = "base",
    *,
    device: str | None = None,
    backend: Backend = "torch",
    precision: Precision = "fp32",
) -> Recognizer:
    """Load the recognizer of a checkpoint. The caller owns it: changes to it affect no other recognizer.

    The checkpoint stays in a cache until its files are replaced.

    Args:
        name: the name of a checkpoint that ships, a folder, or a hub id.
        device: device to compute on, such as "cuda"; by default the CPU.
        backend: "onnx" computes the text encoder with ONNX Runtime (extra `onnx`), which is faster for a single short
            text if torch has one thread, but not for batches. Scores differ by less than 1e-5. The first call exports
            the encoder into the folder `onnx` of the cache. "onnx-int8" computes with 8-bit integers. It is faster,
            also for batches, but scores differ (`docs/speed.md`), and a text's score depends on its batch.
        precision: "bf16" computes the encoders in bfloat16 (autocast), for GPUs. Scores differ (`docs/speed.md`), and
            an item's score depends on its batch.

    Raises:
        InputError: `backend` has a wrong value, its extra is not installed, or the model cannot use it; or `precision`
            has a wrong value.
        MissingFileError, CheckpointError: the checkpoint does not exist, or is damaged.

    Examples:
        >>> import emoembed
        >>> model = emoembed.load("base")
        >>> "joy" in model.labels
        True
        >>> model("I am so happy today!").label
        'joy'
    """
    if backend not in get_args(Backend):
        raise InputError(f"backend is 'torch', 'onnx' or 'onnx-int8'; given {backend!r:.40}")
    if precision not in get_args(Precision):
        raise InputError(f"precision is 'fp32' or 'bf16'; given {precision!r:.40}")
    if precision == "bf16" and backend != "torch":
        raise InputError(f"precision='bf16' needs torch; leave out backend={backend!r}")
    shared = _shared_recognizer(name, device)
    recognizer = Recognizer(deepcopy(shared.model), shared.folder)
    recognizer.model.bf16 = precision == "bf16"
    if backend != "torch":
        _use_onnx(recognizer.model, device, backend)
    return recognizer


def export_onnx(name: str | Path = "base", backend: Literal["onnx", "onnx-int8"] = "onnx") -> Path:
    """Export the text encoder of a checkpoint for ONNX Runtime into the cache, so that `load` finds it there.

    Returns:
        The file. Its inputs are `ids` and `mask`, its output is `states`.

    Raises:
        InputError: the extra `onnx` is not installed, or the model has no text transformer that can be exported.
        OutputError: the file cannot be written.
    """
    return _use_onnx(deepcopy(_shared_recognizer(name, None).model), None, backend)


def _use_onnx(model: EmotionModel, device: str | None, backend: Backend) -> Path:
    """Compute the text encoder of a model with ONNX Runtime. Returns the exported file."""
    from emoembed.encoders.transformer import TransformerEncoder

    encoder = model.modality("text").encoder if "text" in model.modalities else None
    if not isinstance(encoder, TransformerEncoder):
        raise InputError(f"backend={backend!r} computes a text transformer, and this model has none; leave out backend")
    if device not in (None, "cpu"):
        raise InputError(f"backend={backend!r} computes on the CPU; leave out backend or device={device!r}")
    return encoder.use_onnx(cache_folder() / "onnx", int8=backend == "onnx-int8")


def _shared_recognizer(name: str | Path, device: str | None) -> Recognizer:
    """The shared recognizer that `predict` uses, read once for each state of a checkpoint. It must not be changed."""
    require_no_fork()
    folder = checkpoint_files.find_folder(name)
    device_name = "cpu" if device is None else device
    check_device(device_name)
    return _load(str(folder.resolve()), device_name, checkpoint_files.digest(folder))


@lru_cache(maxsize=4)
def _load(folder: str, device: str, _state: str) -> Recognizer:
    recognizer = Recognizer.from_pretrained(folder)
    tell_licence(recognizer.model, Path(folder).name)
    recognizer.model.to(device)
    return recognizer
