import pytest
import torch
from safetensors.torch import save_file

from emoembed.encoders.faces import FaceEncoder, FaceSettings
from emoembed.encoders.facial_actions import LARGEST, FacialActionReader
from emoembed.errors import CheckpointError
from emoembed.labels.descriptions import FACE


def faces(count, time=1):
    return torch.rand(count, time, 48 * 48), torch.full((count,), time)


def test_a_reader_that_was_saved_reads_the_same(tmp_path):
    torch.manual_seed(0)
    reader, inputs = FacialActionReader().eval(), faces(3)
    reader.save(tmp_path / "reader.safetensors")
    again = FacialActionReader.load(tmp_path / "reader.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(again(*inputs), reader(*inputs), atol=0, rtol=0)
    assert again.digest() == reader.digest()
    assert again(*inputs).shape == (3, len(FACE))


def test_readings_are_limited():
    reader = FacialActionReader().eval()
    torch.nn.init.constant_(reader.out.bias, 100.0)
    with torch.no_grad():
        assert bool((reader(*faces(2)) == LARGEST).all())


def test_its_network_is_that_of_a_face_encoder():
    reader, encoder = FacialActionReader().eval(), FaceEncoder(48 * 48, 49, FaceSettings(overview=0.5)).eval()
    missing, unexpected = encoder.load_state_dict(reader.network(), strict=False)
    assert not unexpected
    assert all(name.startswith(("out.", "overview.")) for name in missing)
    inputs = faces(2)
    with torch.no_grad():
        torch.testing.assert_close(encoder.read(*inputs)[:, :320], reader.features(*inputs))


def test_another_file_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"\x10\x00\x00")
    for name in ("other.safetensors", "none.safetensors", "damaged.safetensors"):
        with pytest.raises(CheckpointError, match="does not contain a reader of facial actions"):
            FacialActionReader.load(tmp_path / name)
