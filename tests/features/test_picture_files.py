"""Picture files and arrays: those that are read, and those that are refused."""

import io
import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features import limits, picture_files
from emoembed.features.video import read_faces


def test_an_image_file_is_read_like_its_array(astronaut, tmp_path):
    path = tmp_path / "Gesicht-é.png"
    path.write_bytes(cv2.imencode(".png", astronaut[:, :, ::-1])[1].tobytes())
    np.testing.assert_allclose(read_faces(path).features.values, read_faces(astronaut).features.values, atol=0.005)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", r"empty\.mp4 \(0 bytes\) cannot be read as video: the file is empty"),
        ("text.mp4", b"not a film" * 100, r"text\.mp4 \(1000 bytes\) cannot be read as video"),
        ("empty.jpg", b"", r"empty\.jpg cannot be read as an image: its 0 bytes"),
        ("text.png", b"no picture", r"text\.png cannot be read as an image: its 10 bytes are not a \.png picture"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=message):
        read_faces(tmp_path / name)


def test_files_without_pictures_and_missing_files(media, tmp_path):
    truncated = tmp_path / "cut.mp4"
    truncated.write_bytes(media[1].read_bytes()[:20_000])
    with pytest.raises(MediaError, match=r"cut\.mp4 \(20000 bytes\) cannot be read as video"):
        read_faces(truncated)
    with pytest.raises(MediaError, match=r"voice\.wav has no video track"):
        read_faces(media[0])
    with pytest.raises(MissingFileError, match=r"no video or image file at .*nowhere\.mp4"):
        read_faces(tmp_path / "nowhere.mp4")
    with pytest.raises(MissingFileError):
        read_faces(tmp_path)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (np.full((2, 80, 80, 3), np.nan), r"\(2, 80, 80, 3\) has 38400 NaN or infinite"),
        (np.full((80, 80), np.inf, np.float32), "has 6400 NaN or infinite"),
        (np.full((80, 80), 255.0), r"values in 0\.\.1; given 255 to 255"),
        (np.zeros((80, 80), np.int64), "uint8 values 0..255 or float values 0..1; given int64"),
        (np.zeros((2, 80, 80, 5), np.uint8), r"given shape \(2, 80, 80, 5\)"),
        (np.zeros((3, 80, 80), np.uint8), r"\(3, 80, 80\) looks like one image with its channels first"),
        (np.zeros(80, np.uint8), r"given shape \(80,\)"),
        (np.zeros((0, 80, 3), np.uint8), r"given shape \(0, 80, 3\)"),
        ([1, 2], "an open file or a NumPy array; given list"),
    ],
)
def test_arrays_that_are_no_pictures(video, message):
    with pytest.raises(InputError, match=message):
        read_faces(video)


def test_an_array_of_no_frames():
    with pytest.raises(MediaError, match=r"video array of shape \(0, 80, 80, 3\): no frames"):
        read_faces(np.zeros((0, 80, 80, 3), np.uint8))


def test_a_picture_of_more_pixels_than_can_be_read_is_told(tmp_path):
    parts = [b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"0"), b"IEND"]
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(MediaError, match=r"huge\.png: more pixels than the limit of 120,000,000"):
        read_faces(tmp_path / "huge.png")


@pytest.mark.parametrize(("width", "height"), [(50_000, 1), (60, 20_000), (20_000, 4_000)])
def test_a_picture_of_an_impossible_shape_is_refused_and_the_next_one_is_read(width, height, astronaut, tmp_path):
    from PIL import Image

    Image.new("1", (width, height)).save(tmp_path / "strip.png")
    begin = time.perf_counter()
    with pytest.raises(MediaError, match=rf"strip\.png: {width} x {height} pixels"):
        read_faces(tmp_path / "strip.png")
    assert time.perf_counter() - begin < 2
    with pytest.raises(MediaError, match=f"{width} x {height} pixels"):
        read_faces(np.zeros((height, width), np.uint8))
    assert len(read_faces(astronaut).times) == 1


def test_a_size_that_a_file_cannot_hold_is_refused_before_it_is_decoded(astronaut, tmp_path):
    content = bytearray(cv2.imencode(".png", astronaut[:40, :40])[1].tobytes())
    content[16:24] = struct.pack(">II", 9_000, 9_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "damaged.png").write_bytes(content)
    with pytest.raises(MediaError, match=r"damaged\.png: 9000 x 9000 pixels in a file of \d+ bytes: it is damaged"):
        read_faces(tmp_path / "damaged.png")


def test_a_picture_is_one_whatever_the_case_of_its_suffix(tmp_path):
    grey = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 12), np.uint8), (120, 120))
    (tmp_path / "DSC_0001.PNG").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    assert [note.code for note in read_faces(tmp_path / "DSC_0001.PNG").features.notes] == ["face-whole"]


def test_a_moving_picture_from_memory_is_a_film(astronaut, tmp_path):
    from PIL import Image

    frames = [Image.fromarray(astronaut)] * 3
    frames[0].save(
        tmp_path / "a.gif", save_all=True, duration=200, append_images=[frames[0].rotate(1), frames[0].rotate(2)]
    )
    named, unnamed = read_faces(tmp_path / "a.gif"), read_faces((tmp_path / "a.gif").read_bytes())
    assert unnamed.frames_seen == named.frames_seen > 1


def test_a_damaged_png_is_told_and_says_nothing_else(astronaut, tmp_path, capfd):
    content = bytearray(cv2.imencode(".png", astronaut)[1].tobytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "damaged.png").write_bytes(content)
    with pytest.raises(MediaError, match=r"damaged\.png cannot be read as an image"):
        read_faces(tmp_path / "damaged.png")
    assert capfd.readouterr().err == ""


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n%%EndComments\nshowpage\n%%EOF\n" + b" " * 400


def test_no_picture_starts_a_program(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin, Image

    program, started = tmp_path / "gs", tmp_path / "started"
    program.write_text(f"#!/bin/sh\necho $* >> {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # Pillow looks for the program again
    (tmp_path / "face.png").write_bytes(EPS)
    for source in (tmp_path / "face.png", EPS):
        with pytest.raises(MediaError, match="cannot be read"):
            read_faces(source)
    with (
        Image.open(io.BytesIO(EPS)) as picture,
        pytest.raises(MediaError, match="a drawing in EPS, which only another program can read; convert it to PNG"),
    ):
        picture_files.of_pillow(picture)
    assert not started.exists()


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "face.png"
    with path.open("wb") as file:
        file.truncate(40 * 2**30)  # takes no room on the disk
    with pytest.raises(
        MediaError, match=r"face\.png has 42,949,672,960 bytes; the limit is 960,000,000; make it smaller"
    ):
        read_faces(path)
    with path.open("rb", buffering=0) as file, pytest.raises(MediaError, match=r"the limit is .*; give its path"):
        read_faces(file)


def test_masked_pictures_are_refused(astronaut):
    for video in (np.ma.masked_all((48, 48)), np.ma.array(astronaut, mask=astronaut > 250)):
        with pytest.raises(InputError, match=r"the video array has \d+ masked values; replace them"):
            read_faces(video)
    assert len(read_faces(np.ma.array(astronaut)).times) == 1


@pytest.mark.parametrize(
    ("size", "message"),
    [((1200, 100), None), ((100, 1300), "a strip more than 12"), ((12_000, 11_000), "make it smaller")],
)
def test_strips_and_pictures_of_too_many_pixels_are_refused_by_their_size(size, message):
    fault = limits.picture_fault(*size)
    assert (fault is None) if message is None else (message in fault)


def test_a_picture_whose_size_is_not_known_before_is_not_decoded(astronaut, tmp_path):
    # OpenCV reads Radiance's form, whatever the name; Pillow, which reads sizes, does not
    (tmp_path / "a.png").write_bytes(cv2.imencode(".hdr", astronaut.astype(np.float32))[1].tobytes())
    with pytest.raises(MediaError, match=r"a\.png cannot be read as an image: its \d+ bytes are not a \.png picture"):
        read_faces(tmp_path / "a.png")
