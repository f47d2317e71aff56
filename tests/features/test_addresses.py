"""Files at addresses. `file://` stands for stores such as S3, which have the same interface in pyarrow."""

import pytest

from emoembed.errors import InputError, MissingFileError
from emoembed.features import addresses, audio


@pytest.mark.parametrize("place", ["s3://bucket/a b/c.wav", "file:///tmp/x", "gs://bucket", "abfss://box@host/x"])
def test_an_address_has_a_known_scheme(place):
    assert addresses.is_address(place)


@pytest.mark.parametrize("place", ["a.wav", "/tmp/x", "http://host/x", "C://x", "so s3://bucket", None, 3])
def test_other_texts_are_no_addresses(place):
    assert not addresses.is_address(place)


@pytest.mark.parametrize(
    ("folder", "name", "joined"),
    [
        ("s3://bucket/calls", "a.wav", "s3://bucket/calls/a.wav"),
        ("s3://bucket/calls?region=x", "../b/a.wav", "s3://bucket/b/a.wav?region=x"),
        ("s3://bucket", "a.wav", "s3://bucket/a.wav"),
        ("file:///tmp/calls", "/other/a.wav", "file:///other/a.wav"),
        ("s3://bucket/calls", "gs://other/a.wav", "gs://other/a.wav"),
        ("/tmp/calls", "gs://other/a.wav", "gs://other/a.wav"),
        ("/tmp/calls", "a.wav", "/tmp/calls/a.wav"),
    ],
)
def test_names_are_joined_to_folders(folder, name, joined):
    assert addresses.join(folder, name) == joined


def test_a_file_at_an_address_is_read_as_from_a_path(tmp_path, voice):
    from scipy.io import wavfile

    folder = tmp_path / "two words"
    folder.mkdir()
    wavfile.write(folder / "a.wav", 16_000, voice())
    (folder / ".hidden").touch()
    address = f"file://{folder}/a.wav"
    assert addresses.read_address(address, "sound") == (folder / "a.wav").read_bytes()
    assert (audio.read_audio(address) == audio.read_audio(folder / "a.wav")).all()
    assert [info.base_name for info in addresses.files_in(f"file://{folder}")] == ["a.wav"]
    assert addresses.state_of(address).split()[0] == str((folder / "a.wav").stat().st_size)
    assert addresses.parent(address) == f"file://{folder}"


def test_a_missing_file_is_named_by_its_address(tmp_path):
    with pytest.raises(MissingFileError, match=r"no sound file at file://.*/a\.wav"):
        audio.read_audio(f"file://{tmp_path}/a.wav")
    with pytest.raises(MissingFileError, match="there is no file://"):
        addresses.files_in(f"file://{tmp_path}/none")
    assert addresses.state_of(f"file://{tmp_path}/a.wav") == ""


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("emoembed.features.addresses.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"emoembed\[parquet\]"):
        addresses.located("s3://bucket/x")
