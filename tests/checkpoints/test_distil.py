import distil
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from emoembed.errors import CheckpointError

TEXTS = [f"so merry {a} {b}" for a in "abcdefgh" for b in "ijklmnop"]
NAMES = ["joy", "sad", "awe", "envy"]


@pytest.fixture
def teacher(larger, monkeypatch):
    monkeypatch.setattr(distil, "CHUNK", 30)
    monkeypatch.setattr(distil, "BATCH", 8)
    return larger


def random_points(rows, dim=16, seed=0):
    return normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_imitation_is_least_at_the_points_of_the_teacher():
    goals, labels = random_points(6), random_points(9, seed=1)
    moved = normalize(goals + 0.1 * random_points(6, seed=2), dim=1)
    assert distil.imitation(goals, goals, labels).item() == pytest.approx(0.0, abs=1e-5)
    assert distil.imitation(moved, goals, labels) > 0.001


def test_the_projection_keeps_cosines_and_meets_the_student():
    vectors = random_points(200, 8) @ random_points(8, 32, seed=1)  # of rank 8, so that 16 directions hold them
    turn, _ = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(2)))
    of_student = (vectors @ torch.linalg.svd(vectors, full_matrices=False)[2][:16].T) @ turn
    projection = distil.into_space(vectors, 16, of_student[:50])
    torch.testing.assert_close(
        (vectors @ projection) @ (vectors @ projection).T, vectors @ vectors.T, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(vectors[:50] @ projection, of_student[:50], atol=1e-3, rtol=0)


def test_the_student_moves_towards_the_teacher_and_its_adapters_do_not(text_model, teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(distil, "EPOCHS", 12)
    monkeypatch.setattr(distil, "LEARNING_RATE", 3e-3)
    items = [*NAMES, *TEXTS]

    def agreement():
        of_teacher, of_student = (
            side.phrase_vectors(items) for side in (distil.read_teacher(teacher), text_model.phrases)
        )
        return np.corrcoef((of_teacher @ of_teacher.T).flatten(), (of_student @ of_student.T).flatten())[0, 1]

    adapters = {name: value.clone() for name, value in text_model.named_parameters() if "adapters" in name}
    before = agreement()
    distil.distil(text_model, TEXTS, NAMES, teacher, tmp_path / "vectors")
    assert 1 - agreement() < 0.6 * (1 - before)
    assert all(torch.equal(value, adapters[name]) for name, value in text_model.named_parameters() if name in adapters)
    assert not any(p.requires_grad for p in text_model.phrases.encoder.trunk.parameters())


def test_finished_chunks_are_read_again(teacher, tmp_path, monkeypatch):
    first = distil.vectors_of(teacher, TEXTS, tmp_path / "vectors")
    assert len(list((tmp_path / "vectors").iterdir())) == 3
    monkeypatch.setattr(distil, "read_teacher", lambda _: pytest.fail("read again"))
    torch.testing.assert_close(distil.vectors_of(teacher, TEXTS, tmp_path / "vectors"), first)


def test_other_weights_than_published_are_refused(teacher, monkeypatch):
    monkeypatch.setattr(distil, "CHECKSUM", "0" * 64)
    with pytest.raises(CheckpointError, match=r"model\.safetensors has the SHA-256 .*; expected 0000"):
        distil.read_teacher(teacher)
