"""`emoembed pretrain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from emoembed.interfaces.options import BatchOptions


@dataclass(frozen=True, kw_only=True)
class PretrainDialogue(BatchOptions):
    """Pre-train the context of dialogues on dialogues without labels (TL-ERC).

    Examples:

        emoembed pretrain dialogue --manifest chats.csv --output chats-context

        emoembed train --manifest mine.csv --context chats-context --output my-model
    """

    manifest: Annotated[Path, typer.Option(metavar="FILE", help="Table with the columns text and dialogue.")]
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pre-trained context.")]
    decoder: Annotated[
        str, typer.Option(help="Decoder that predicts the next turn: contrast, bag_of_words, hred or vhred.")
    ] = "contrast"
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Train on turns in random order, as a control.")] = False
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Training epochs.")] = None

    def run(self) -> int:
        """Pre-train, save and print the validation measures."""
        from emoembed.transfer.dialogue.manifest import pretrain_manifest
        from emoembed.transfer.dialogue.pretrain import PretrainConfig

        changes = {"epochs": self.epochs, "batch_size": self.batch_size}
        config = PretrainConfig(
            decoder=self.decoder,
            shuffle=self.shuffle,
            seed=self.seed,
            **{name: value for name, value in changes.items() if value is not None},
        )
        result = pretrain_manifest(self.load().model, self.manifest, self.output, config, progress=self.progress)
        print(f"validation loss {result.losses[result.best_epoch]:.3f}, perplexity {result.perplexity:.1f}")
        if result.divergences:
            state = "the latent vector has collapsed" if result.has_collapsed else "the latent vector is used"
            print(f"KL term {result.divergences[result.best_epoch]:.3f} nats per turn: {state}")
        print(f"saved -> {self.output}")
        return 0
