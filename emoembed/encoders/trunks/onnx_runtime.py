"""Compute a BERT text encoder with ONNX Runtime (extra `onnx`). This is faster for a single short text."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.encoders.layers import padding_mask
from emoembed.encoders.trunks.bert import Bert
from emoembed.errors import InputError, OutputError

REVISION = 1
"""Increase it when a change of `encoders.trunks.bert` or of `export` makes exported files stale."""
INSTALL = "backend='onnx' needs ONNX Runtime; install it with: pip install \"emoembed[onnx]\""


class OnnxEncoder:
    """An exported encoder. Each process opens the file itself, also a forked one.

    Args:
        file: written by `export`.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._session: Any = None
        self._process = 0  # id of the process that opened the session

    @classmethod
    def of(cls, trunk: nn.Module, file: Path, *, int8: bool = False) -> OnnxEncoder:
        """The encoder of a file, which is written if it does not exist or cannot be opened.

        With `int8`, the file has another name, and its matrix products compute with 8-bit integers.

        Raises:
            InputError: the encoder is not a BERT of this package, or the extra `onnx` is not installed.
            OutputError: the file cannot be written.
        """
        encoder = cls(file.with_stem(f"{file.stem}-int8") if int8 else file)
        if encoder.file.is_file():
            try:
                encoder.open()
                return encoder
            except OutputError:
                pass  # damaged, so it is written again
        export(trunk, encoder.file, int8=int8)
        encoder.open()
        return encoder

    def open(self) -> Any:
        """The session of this process.

        Raises:
            InputError: ONNX Runtime is not installed.
            OutputError: the file is missing or damaged.
        """
        if self._session is None or self._process != os.getpid():
            try:
                import onnxruntime
            except ImportError as error:
                raise InputError(INSTALL) from error
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch's threads need the cores
            options.log_severity_level = 3
            try:
                self._session = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # ONNX Runtime has an exception type for each fault, without a common base
                raise OutputError(
                    f"{self.file} cannot be opened by ONNX Runtime; delete it and load the model again: {error}"
                ) from error
            self._process = os.getpid()
        return self._session

    def __call__(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Last hidden states `(batch, time, hidden)` of token ids `(batch, time, 1)`."""
        mask = padding_mask(lengths, frames.shape[1])
        inputs = {"ids": frames[..., 0].long().numpy(), "mask": mask.long().numpy()}
        (states,) = self.open().run(None, inputs)
        return torch.from_numpy(np.asarray(states))

    def __deepcopy__(self, _: Any) -> OnnxEncoder:
        return self  # the file does not change

    def __reduce__(self) -> tuple[type[OnnxEncoder], tuple[Path]]:
        return type(self), (self.file,)


def export(trunk: nn.Module, file: Path, *, int8: bool = False) -> None:
    """Write an encoder to an ONNX file with the inputs `ids` and `mask`, both `(batch, time)`.

    With `int8`, its matrix products compute with 8-bit integers. The file is written under another name and then
    renamed, so that it is never incomplete.

    Raises:
        InputError: the encoder is not a BERT of this package, or the extra `onnx` is not installed.
        OutputError: the file cannot be written.
    """
    if not isinstance(trunk, Bert):
        raise InputError(
            f"backend='onnx' computes BERT text encoders; the text encoder of this model is a {type(trunk).__name__}. "
            "Leave out backend"
        )
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise InputError(INSTALL) from error
    ids, mask = torch.ones((2, 3), dtype=torch.long), torch.ones((2, 3), dtype=torch.long)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time", max=trunk.config.max_position_embeddings)}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own deprecated calls
        program = torch.onnx.export(
            _States(trunk).eval(),
            (ids, mask),
            dynamo=True,
            dynamic_shapes=(sizes, sizes),
            input_names=["ids", "mask"],
            output_names=["states"],
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch exported no ONNX program")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            written = Path(folder) / file.name
            program.save(written)
            os.replace(quantized(written) if int8 else written, file)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror or error}") from error


def quantized(file: Path) -> Path:
    """Write an encoder whose matrix products compute with 8-bit integers beside an exported one. Returns the new file.

    The weights have one scale per column. The scale of the activations is computed at each call (dynamic quantisation),
    so a text's states also depend on the other texts of its batch.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, output = file.with_stem("prepared"), file.with_stem("quantized")
    quant_pre_process(file, prepared, skip_symbolic_shape=True)
    kinds = ["MatMul", "Gemm"]
    quantize_dynamic(prepared, output, op_types_to_quantize=kinds, per_channel=True, weight_type=QuantType.QInt8)
    return output


class _States(nn.Module):
    """The encoder as a function of token ids and mask, without branches that depend on their values."""

    def __init__(self, trunk: Bert) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = self.trunk.encoder(self.trunk.embeddings(ids), mask.bool()[:, None, None, :])
        return states
