"""A reader of facial actions: how far a face raises its brows, smiles, opens its mouth, and so on.

The reader has the network of a `FaceEncoder`. It has learned the actions without any emotion label. The training of a
face encoder on emotions starts from this network. The output of the reader is also the regression target of the
encoder's ridge map, in the part of the space that describes how an emotion looks. So the model recognises an unseen
label by its description.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emoembed.cache import content_of, tensors_of
from emoembed.encoders.faces import FaceEncoder, FaceSettings
from emoembed.encoders.ridge import RidgeMap
from emoembed.errors import CheckpointError
from emoembed.labels.descriptions import FACE

NETWORK = ("stages.", "narrow.", "pool.")
"""The weights of a face encoder that do not depend on the space of its labels."""
LARGEST = 3.0
"""The predicted actions are clipped at this many standard deviations."""


class FacialActionReader(nn.Module):
    """A face network with a linear layer for the facial actions of `labels.descriptions.FACE`, in their order.

    Args:
        settings: settings of the network; by default those of `FaceEncoder`.
    """

    def __init__(self, settings: FaceSettings | None = None) -> None:
        super().__init__()
        settings = replace(settings or FaceSettings(), overview=0.0)
        self.encoder = FaceEncoder(settings.side**2, 1, settings)
        self.out = RidgeMap(self.encoder.features_dim // 2, len(FACE))

    def features(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Mean features over the faces of each item `(batch, features_dim / 2)`."""
        return self.encoder.read(frames, lengths)[:, : self.encoder.features_dim // 2]

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Faces `(batch, time, side * side)` -> actions `(batch, actions)`, in standard deviations of the teacher."""
        actions: Tensor = self.out(self.out.scaled(self.features(frames, lengths)))
        return actions.clamp(-LARGEST, LARGEST)

    def network(self) -> dict[str, Tensor]:
        """The weights by their name in a face encoder, for training that starts from this network."""
        weights = self.encoder.state_dict()
        return {name: value for name, value in weights.items() if name.startswith(NETWORK)}

    def digest(self) -> str:
        """A digest of the weights."""
        return content_of(tensors_of(self))

    def save(self, path: Path) -> None:
        """Write the weights to a safetensors file, which is never incomplete."""
        temporary_file = path.with_suffix(".tmp")
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, temporary_file)
        temporary_file.replace(path)

    @classmethod
    def load(cls, path: Path) -> FacialActionReader:
        """Read what `save` wrote. Raises CheckpointError if the file has other weights."""
        reader = cls()
        try:
            reader.load_state_dict(load_file(path))
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise CheckpointError(
                f"{path} does not contain a reader of facial actions ({error!s:.200}); delete it and make it again: "
                "python checkpoints/build, stage video"
            ) from error
        return reader.eval()
