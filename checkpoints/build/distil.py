"""Distil a larger sentence encoder into the one of the text modality, without any emotion label.

The student learns to place texts and names of feelings where the teacher places them. The teacher is
all-mpnet-base-v2 (Reimers & Gurevych 2019; Apache-2.0), which was not trained on emotion labels either. So the student
has still never seen an example of an emotion.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import CheckpointError
from emoembed.features.atomic import write_file
from emoembed.features.readable import readable
from emoembed.labels.emotion import TEMPLATES
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import buckets, collate
from emoembed.training import pretrained
from emoembed.training.objective import divergence
from emoembed.training.pretrained import Pretrained

TEACHER = "sentence-transformers/all-mpnet-base-v2"
CHECKSUM = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""SHA-256 of the teacher's `model.safetensors`, as published on the hub."""
LONGEST = 128  # word pieces of a text that the teacher reads
CHUNK = 10_000  # texts in a file of teacher vectors
EPOCHS, BATCH, LEARNING_RATE, WARMUP = 1, 64, 2e-4, 0.05
NAMES = 1500
"""Number of names of feelings that each text is compared with."""


def read_published(name: str | Path, rank: int = 0) -> Pretrained:
    """The teacher's weights, by hub id or from a folder, with adapters of a rank.

    Raises CheckpointError if a folder has other weights than published.
    """
    file = Path(name) / "model.safetensors"
    if file.is_file():
        with file.open("rb") as weights:
            digest = hashlib.file_digest(weights, "sha256").hexdigest()
        if digest != CHECKSUM:
            raise CheckpointError(f"{file} has the SHA-256 {digest}; expected {CHECKSUM}, as published on the hub")
    return pretrained.read("text", name, rank=rank)


def read_teacher(name: str | Path) -> SentenceEncoder:
    """The teacher, untrained. Raises CheckpointError as `read_published` does."""
    sentences = read_published(name).sentence_encoder()
    sentences.tokenizer.enable_truncation(LONGEST)
    return sentences


def vectors_of(teacher: str | Path, texts: Sequence[str], folder: Path) -> Tensor:
    """Teacher vectors of texts `(texts, dim)`, rows of norm 1. Finished chunks in `folder` are read, not made again."""
    sentences: SentenceEncoder | None = None
    parts = []
    for start in range(0, len(texts), CHUNK):
        chunk = list(texts[start : start + CHUNK])
        file = folder / f"{hashlib.sha256(chr(10).join(chunk).encode()).hexdigest()[:16]}.npy"
        if not file.is_file():
            sentences = sentences or read_teacher(teacher)
            with torch.autocast("cpu", torch.bfloat16):
                vectors = sentences.phrase_vectors(chunk).numpy().astype(np.float16)
            folder.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            np.save(buffer, vectors)
            write_file(file, buffer.getvalue())
            print(f"teacher vectors of {start + len(chunk)} of {len(texts)} texts", flush=True)
        parts.append(torch.from_numpy(np.load(file).astype(np.float32)))
    return normalize(torch.cat(parts), dim=-1)


def into_space(vectors: Tensor, dim: int, of_student: Tensor) -> Tensor:
    """Projection `(teacher dim, dim)` of teacher vectors that keeps their cosines and is nearest to student vectors.

    The leading right singular vectors, turned by the orthogonal Procrustes solution (Schönemann 1966).

    Args:
        vectors: of the teacher `(texts, teacher dim)`; the first ones are those of `of_student`.
        dim: of the student.
        of_student: vectors of the untrained student `(some texts, dim)`.
    """
    _, _, directions = torch.linalg.svd(vectors, full_matrices=False)
    kept = directions[:dim].T
    left, _, right = torch.linalg.svd((vectors[: len(of_student)] @ kept).T @ of_student)
    return kept @ (left @ right)


def distil(model: EmotionModel, texts: Sequence[str], names: Sequence[str], teacher: str | Path, folder: Path) -> None:
    """Train the whole sentence encoder of a text model in place, so that its vectors are those of the teacher.

    The loss is `imitation`, with names of feelings as labels.

    Args:
        model: has a text modality, whose sentence encoder also embeds labels.
        texts: of any content; labels are not read.
        names: of feelings. The first `NAMES` are compared with; all are learned as texts are, in two templates.
        teacher: hub id or folder.
        folder: for the teacher's vectors.
    """
    student = model.phrases
    assert isinstance(student, SentenceEncoder)
    encoder = model.modality("text").encoder
    assert isinstance(encoder, TransformerEncoder)
    prompts = [template.format(name) for template in TEMPLATES[:2] for name in _known(names, student)]
    items = [*prompts, *_known(texts, student)]
    vectors = vectors_of(teacher, items, folder)
    generator = np.random.default_rng(0)
    sample = torch.from_numpy(generator.permutation(len(items))[:40_000])
    some = sample[:6000]
    projection = into_space(vectors[sample], student.dim, student.phrase_vectors([items[i] for i in some.tolist()]))
    goals = normalize(vectors @ projection, dim=-1)
    by_template = goals[: len(prompts)].view(2, -1, student.dim)[:, :NAMES].mean(dim=0)
    feelings = normalize(by_template - by_template.mean(dim=0), dim=-1)
    arrays = [np.array(ids, dtype=np.float32)[:, None] for ids in student.token_ids(items) if ids]
    encoder.trunk.requires_grad_(True)
    _train(encoder, arrays, goals, feelings, generator)
    encoder.trunk.requires_grad_(False)
    encoder.discard_copies()  # the weights merged with the old trunk


def _known(texts: Sequence[str], student: SentenceEncoder) -> list[str]:
    """Texts of which the student knows a token, each once."""
    unique = list(dict.fromkeys(map(readable, texts)))
    return [text for text, ids in zip(unique, student.token_ids(unique), strict=True) if ids]


def _train(
    encoder: TransformerEncoder,
    arrays: Sequence[np.ndarray],
    goals: Tensor,
    feelings: Tensor,
    generator: np.random.Generator,
) -> None:
    parameters: list[Any] = list(encoder.trunk.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    steps = EPOCHS * -(-len(arrays) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps + EPOCHS, pct_start=WARMUP, cycle_momentum=False
    )
    lengths = np.array([len(array) for array in arrays])
    losses: list[float] = []
    for _ in range(EPOCHS):
        for rows in buckets(lengths, BATCH, generator):
            frames, counts = collate([arrays[i] for i in rows])
            with torch.autocast("cpu", torch.bfloat16):
                vectors = encoder.hidden_mean(frames, counts, adapted=False)
            loss = imitation(normalize(vectors.float(), dim=-1), goals[torch.from_numpy(rows)], feelings)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if len(losses) % 500 == 0:
                print(f"distillation, step {len(losses)} of {steps}: {np.mean(losses[-500:]):.4f}", flush=True)


def imitation(points: Tensor, goals: Tensor, label_points: Tensor) -> Tensor:
    """Distance of points `(batch, dim)` from the points that a teacher gives the same items.

    The loss has two terms. The first is 1 - cosine. The second is the divergence of the distribution over labels from
    the teacher's, because what matters of an item is which labels it is near (Hinton et al. 2015).
    """
    cosine = (1 - (points * goals).sum(dim=1)).mean()
    return cosine + divergence(points, label_points, goals, label_points)
