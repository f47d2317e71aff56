import struct
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import soundfile

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features import frames
from emoembed.features.faces import tracker as face_tracker
from emoembed.features.faces.detectors import Face, cut
from emoembed.features.faces.tracker import FaceTracker
from emoembed.features.video import FACES, FaceFinder, read_faces

FACE = (177.0, 66.0, 95.0)  # x, y, side of the astronaut's face, read off the photograph
EYES = ((203.0, 101.0), (245.0, 101.0))


def moving(face, steps, size=(480, 640)):
    """The face pasted on noise at 25 frames a second: the frames, and its centres (time, 2)."""
    side = face.shape[0]
    frames = np.random.default_rng(1).integers(80, 120, (steps, *size, 3), dtype=np.uint8)
    corners = np.array([(60 + 6 * step, 100 + round(50 * np.sin(step / 6))) for step in range(steps)])
    for frame, (x, y) in zip(frames, corners, strict=True):
        frame[y : y + side, x : x + side] = face
    return frames, corners + side / 2


def centres(track):
    return track.boxes[:, :2] + track.boxes[:, 2:] / 2


def alike(first, second):
    """Correlation of the pixels of two faces."""
    return np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]


def test_columns_name_the_pixels_row_by_row(astronaut):
    track = read_faces(astronaut)
    assert FACES.columns[0] == "pixel_00_00"
    assert FACES.columns[49] == "pixel_01_01"
    assert track.features.feature_set == FACES
    assert track.features.values.dtype == np.float32
    assert track.features.values.min() >= 0
    assert track.features.values.max() <= 1


def test_the_face_of_a_photograph_is_found_where_it_is(astronaut):
    track = read_faces(astronaut)
    x, y, width, height = track.boxes[0]
    side = FACE[2]
    assert width == height == pytest.approx(side, rel=0.2)
    assert np.abs(centres(track)[0] - np.array([FACE[0] + side / 2, FACE[1] + side / 2])).max() < 0.1 * side
    assert x < EYES[0][0] < EYES[1][0] < x + width
    assert y < EYES[0][1] < y + height / 2
    assert 0.5 < track.confidences[0] <= 1
    assert (track.frames_seen, track.times.tolist()) == (1, [0.0])


def test_a_tilted_face_is_turned_level(astronaut):
    turn = cv2.getRotationMatrix2D((FACE[0] + 47, FACE[1] + 47), -14, 1.0)
    tilted = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)
    level, turned = read_faces(astronaut), read_faces(tilted)
    x, y, side, _ = (round(value) for value in turned.boxes[0])
    as_it_was = cv2.resize(cv2.cvtColor(tilted, cv2.COLOR_RGB2GRAY)[y : y + side, x : x + side], (48, 48))
    assert alike(turned.features.values, level.features.values) > alike(as_it_was, level.features.values) + 0.05


def test_the_track_follows_a_moving_face(astronaut):
    frames, truth = moving(astronaut[45:185, 155:295], steps=50)
    track = read_faces((frames, 25))
    assert len(track.times) == track.frames_seen == 20
    errors = centres(track) - truth[np.rint(track.times * 25).astype(int)]
    # the face is not quite in the middle of the pasted square: a constant, so only what varies is an error
    assert np.abs(errors - errors.mean(axis=0)).max() < 0.03 * 140
    assert track.confidences.min() >= 0.4
    assert track.confidences.max() <= 1


def test_a_lost_face_is_given_up_and_found_again(astronaut):
    frames, truth = moving(astronaut[45:185, 155:295], steps=24)
    blank = np.random.default_rng(2).integers(80, 120, (10, *frames.shape[1:]), dtype=np.uint8)
    track = read_faces((np.concatenate([frames[:10], blank, frames[14:]]), 10), rate=10)
    np.testing.assert_allclose(track.times * 10, [*range(10), *range(20, 30)])
    assert track.frames_seen == 30
    offsets = centres(track) - np.concatenate([truth[:10], truth[14:]])
    assert np.ptp(offsets, axis=0).max() < 0.1 * 140


def test_the_detector_has_its_turn_twice_a_second_and_must_confirm_within_two(noise):
    class Once:
        """Finds a face in the first frame, then never again."""

        def __init__(self):
            self.asked = []

        def detect(self, grey, near=None):
            self.asked.append(near)
            return [Face(100.0, 80.0, 90.0, 0.9)] if len(self.asked) == 1 else []

        def roll(self, grey, face):
            return None

    detector = Once()
    tracker, still = FaceTracker(detector), cv2.GaussianBlur(noise[0, :, :, 0], (9, 9), 0)
    faces = [tracker.follow(still, step / 10) for step in range(25)]
    assert [face is not None for face in faces] == [True] * 21 + [False] * 4
    assert all((face.x, face.y, face.side) == pytest.approx((100, 80, 90), abs=0.5) for face in faces[:21])
    # frames 1 to 4 without it; 5 to 21 around the tracked face; then the whole frame again
    assert [near is None for near in detector.asked] == [True] + [False] * 17 + [True] * 3


def test_a_track_begins_with_the_largest_face_and_stays_with_it(astronaut):
    face = astronaut[45:185, 155:295]
    frames = np.random.default_rng(1).integers(80, 120, (12, 480, 640, 3), dtype=np.uint8)
    frames[:, 50:190, 40:180] = face
    frames[:, 300:400, 300:400] = cv2.resize(face, (100, 100), interpolation=cv2.INTER_AREA)
    frames[6:, 50:290, 350:590] = cv2.resize(face, (240, 240))  # a larger one enters
    track = read_faces(frames)
    assert len(track.times) == 12
    assert np.abs(centres(track) - [110, 120]).max() < 20


@pytest.mark.parametrize(("side", "expected"), [("left", 110), ("right", 510)])
def test_side_looks_at_half_of_the_picture(astronaut, side, expected):
    face = astronaut[45:185, 155:295]
    frame = np.random.default_rng(1).integers(80, 120, (480, 640, 3), dtype=np.uint8)
    frame[50:190, 40:180] = face
    frame[50:190, 440:580] = face
    assert centres(read_faces(frame, side=side))[0, 0] == pytest.approx(expected, abs=10)


@pytest.mark.parametrize("size", [(48, 48), (64, 51), (25, 25)])
def test_a_small_picture_is_the_face_itself(size):
    grey = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    track = read_faces(grey)
    assert track.features.values.shape == (1, 2304)
    assert track.boxes.tolist() == [[0, 0, size[1], size[0]]]
    assert track.confidences.tolist() == [1.0]
    if size == (48, 48):
        levels = np.argsort(np.argsort(track.features.values[0], kind="stable"), kind="stable")
        assert (
            np.corrcoef(levels, grey.ravel())[0, 1] > 0.99
        )  # each pixel keeps its rank, for the histogram is levelled


def test_a_picture_cut_close_to_the_face_is_searched_beyond_its_border(astronaut):
    close = cv2.resize(astronaut[72:166, 180:270], (192, 192), interpolation=cv2.INTER_CUBIC)
    track = read_faces(close)
    assert track.boxes[0, 2] > 0.75 * 192


def test_number_formats_and_grey_make_no_difference(astronaut):
    expected = read_faces(astronaut).features.values
    grey = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    for same in (astronaut / 255.0, (astronaut / 255.0).astype(np.float32), grey, grey[None], astronaut[None]):
        np.testing.assert_allclose(read_faces(same).features.values, expected, atol=0.005)
    opaque = np.dstack([astronaut, np.full_like(grey, 255)])
    for same in (grey[..., None], np.stack([grey] * 3)[..., None][:1], opaque, opaque[None]):
        np.testing.assert_allclose(read_faces(same).features.values, expected, atol=0.005)


def test_a_video_file_is_read_like_its_frames(demo, media):
    from_file, from_array = read_faces(media[1]), read_faces((demo.moving_face(), 25))
    np.testing.assert_allclose(from_file.times, from_array.times)
    assert from_file.frames_seen == len(from_file.times) == 20
    assert np.abs(from_file.boxes - from_array.boxes).max() < 10
    assert min(map(alike, from_file.features.values, from_array.features.values)) > 0.88


@pytest.mark.parametrize("rate", [2.0, 10.0, 12.5, 100.0])
def test_rate_limits_the_frames_looked_at(media, rate):
    track = read_faces(media[1], rate=rate)
    assert track.frames_seen == min(2 * rate, 50)
    # the first frame, 1/25 s apart, of every 1/rate seconds
    expected = (
        np.unique(np.ceil(np.arange(track.frames_seen) / rate * 25 - 1e-9)) / 25 if rate < 25 else np.arange(50) / 25
    )
    np.testing.assert_allclose(track.times, expected, atol=1e-6)
    assert track.features.feature_set.rate == rate


def test_an_array_without_frame_rate_is_taken_as_sampled(demo):
    frames = demo.moving_face()[:6]
    np.testing.assert_allclose(read_faces(frames).times, np.arange(6) / 10)
    np.testing.assert_allclose(read_faces(frames, rate=5).times, np.arange(6) / 5)


def test_reading_ends_with_the_last_face_asked_for(media):
    whole, part = read_faces(media[1]), read_faces(media[1], limit=4)
    assert len(part.times) == part.frames_seen == 4
    np.testing.assert_array_equal(part.features.values, whole.features.values[:4])


def test_start_and_end_cut_the_video(media):
    whole, part = read_faces(media[1]), read_faces(media[1], start=0.8, end=1.2)
    assert part.times[0] == pytest.approx(0.8)
    assert part.times[-1] < 1.2
    assert part.frames_seen == 4
    during = (whole.times >= 0.8) & (whole.times < 1.2)
    assert np.abs(part.boxes - whole.boxes[during]).max() < 15
    with pytest.raises(MediaError, match=r"face\.mp4: no frames from 5\.0 s to 6\.0 s"):
        read_faces(media[1], start=5.0, end=6.0)
    with pytest.raises(MediaError, match=r"no frames from 5\.0 s to the end"):
        read_faces(media[1], start=5.0)


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_a_turned_video_is_read_upright(media, tmp_path, matrix):
    # write the film upside down or sideways into the header; OpenCV is the independent reader
    content = bytearray(media[1].read_bytes())
    at = content.find(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mp4"
    path.write_bytes(content)
    from emoembed.features.frames import _file_frames

    _, ours = next(_file_frames(path, path.name, 10.0, None, None, []))
    theirs = cv2.cvtColor(cv2.VideoCapture(str(path)).read()[1], cv2.COLOR_BGR2GRAY)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 3


def test_a_damaged_stretch_costs_only_itself(media, tmp_path):
    content = bytearray(media[1].read_bytes())
    begin = len(content) // 2
    content[begin : begin + 8000] = bytes(8000)
    (tmp_path / "scratched.mp4").write_bytes(content)
    track = read_faces(tmp_path / "scratched.mp4")
    assert 10 <= len(track.times) <= 20


def test_no_face_says_what_to_do(noise, tmp_path):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for frame in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match=r"no face found in 12 frames of .*clip\.mp4; give an upright face"):
        read_faces(path)
    with pytest.raises(MediaError, match=r"no face found in video array of shape \(240, 320, 3\)"):
        read_faces(noise[0])


@pytest.mark.filterwarnings("error")
def test_a_black_picture_holds_no_face():
    with pytest.raises(MediaError, match="no face found in 8 frames"):
        read_faces(np.zeros((8, 240, 320), np.uint8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0}, "rate is frames per second, above 0; given 0"),
        ({"rate": float("nan")}, "given nan"),
        ({"start": -1}, "start is a time in seconds, .* given -1"),
        ({"start": 2, "end": 1}, "after start; given start=2, end=1"),
        ({"limit": 0}, "limit is a number of faces, at least 1, or None; given 0"),
        ({"side": "top"}, "'left', 'right' or None .* given 'top'"),
    ],
)
def test_bad_arguments(noise, arguments, message):
    with pytest.raises(InputError, match=message):
        read_faces(noise, **arguments)


def test_bad_frame_rates(noise, media):
    for rate in (-1, float("nan"), "fast"):
        with pytest.raises(InputError, match=f"frame_rate is frames per second, above 0; given {rate!r}"):
            read_faces((noise, rate))
    for other in ((media[1], 25), (noise,), (noise, 25, 1)):
        with pytest.raises(InputError, match=r"a video tuple is \(array, frame rate\); given"):
            read_faces(other)


def test_yunet_needs_its_file(astronaut, tmp_path):
    with pytest.raises(MissingFileError, match=r"no YuNet model at .*yunet\.onnx"):
        read_faces(astronaut, detector=tmp_path / "yunet.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(InputError, match=r"text\.onnx is not a YuNet model"):
        read_faces(astronaut, detector=tmp_path / "text.onnx")


def test_yunet_rows_become_the_square_the_cascade_draws(astronaut, monkeypatch, tmp_path):
    class Net:
        """Answers as YuNet is documented to: box, right eye, left eye, nose, mouth corners, score."""

        def setInputSize(self, size):  # OpenCV's name
            self.scale = size[0] / 512

        def detect(self, picture):
            assert picture.shape[2] == 3
            points = [*EYES[0], *EYES[1], 224, 123, 207, 143, 242, 143]
            return 1, np.array([[180, 60, 85, 110, *points, 0.93 / self.scale]], np.float32) * self.scale

    monkeypatch.setattr(cv2, "FaceDetectorYN", SimpleNamespace(create=lambda *args, **kwargs: Net()))
    (tmp_path / "yunet.onnx").write_bytes(b"")
    track, expected = read_faces(astronaut, detector=tmp_path / "yunet.onnx"), read_faces(astronaut)
    assert np.abs(track.boxes - expected.boxes).max() < 20
    assert alike(track.features.values, expected.features.values) > 0.5
    assert track.confidences[0] == pytest.approx(0.93)


def test_the_demo_media_are_what_they_say(media):
    sound, video = media
    samples, rate = soundfile.read(sound)
    assert (rate, samples.shape) == (16_000, (40_000,))
    assert 0.3 < np.abs(samples).max() < 1
    loud = np.abs(samples).reshape(-1, 400).max(axis=1)
    assert (loud < 0.02).sum() > 10  # pauses
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate, stream.frames) == (640, 480, 25, 50)
    assert sorted(path.name for path in sound.parent.iterdir()) == ["face.mp4", "voice.wav"]


def test_cut_repeats_the_border():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for x, y, side in ((0, 0, 3), (-2, 1, 4), (2, -3, 5), (-9, -9, 2)):
        padded = np.pad(grey, 20, mode="edge")
        expected = padded[20 + y : 20 + y + side, 20 + x : 20 + x + side]
        np.testing.assert_array_equal(cut(grey, x, y, side), expected)


def test_vertex_of_a_parabola():
    fit = 1.0 - 0.1 * (np.arange(7) - 3.3) ** 2
    assert 3 + face_tracker._vertex(fit, 3) == pytest.approx(3.3)
    assert face_tracker._vertex(fit, 0) == 0.0
    assert face_tracker._vertex(np.ones(5), 2) == 0.0


def test_a_picture_said_to_be_the_face_is_taken_whole(astronaut):
    scene = cv2.resize(astronaut, (300, 300))
    whole = read_faces(scene, detector="none")
    assert whole.boxes.tolist() == [[0, 0, 300, 300]]
    assert read_faces(scene).boxes[0, 2] < 150


def test_a_small_picture_without_a_face_is_taken_whole_and_says_so():
    grey = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 12), np.uint8), (120, 120))
    track = read_faces(grey)
    assert track.boxes.tolist() == [[0, 0, 120, 120]]
    assert [note.code for note in track.features.notes] == ["face-whole"]
    with pytest.raises(MediaError, match="no face found"):
        read_faces(cv2.resize(grey, (300, 300)))


def test_the_share_of_frames_with_a_face_is_told(astronaut):
    scene = cv2.resize(astronaut, (300, 300))
    empty = np.zeros_like(scene)
    some = read_faces(np.stack([scene] * 2 + [empty] * 2)).features.notes
    assert [(note.code, note.text) for note in some] == [("faces", "2 of 4 frames show a face")]
    few = read_faces(np.stack([scene] + [empty] * 9)).features.notes
    assert [note.code for note in few] == ["faces", "few-faces"]


def test_a_small_picture_that_a_face_fills_is_taken_whole(astronaut):
    close = cv2.resize(astronaut[72:166, 180:270], (192, 192), interpolation=cv2.INTER_CUBIC)
    track = read_faces(close)
    assert (track.boxes.tolist(), track.confidences.tolist()) == ([[0, 0, 192, 192]], [1.0])
    assert track.features.notes == ()


@pytest.mark.parametrize("size", [65, 100, 112, 224])
def test_a_face_cut_out_and_enlarged_is_read_as_the_small_one(astronaut, size):
    small = cv2.resize(astronaut[72:166, 180:270], (48, 48), interpolation=cv2.INTER_AREA)
    enlarged = read_faces(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC))
    assert enlarged.boxes.tolist() == [[0, 0, size, size]]
    assert alike(enlarged.features.values[0], read_faces(small).features.values[0]) > 0.98


def test_every_frame_of_an_array_without_frame_rate_is_looked_at():
    frames = np.random.default_rng(0).integers(0, 256, (250, 48, 48), dtype=np.uint8)
    assert read_faces(frames, rate=15).frames_seen == 250


def test_times_count_from_the_first_frame_of_a_film_that_begins_later(tmp_path):
    with av.open(str(tmp_path / "a.ts"), "w") as container:  # whose clock begins at 1.4 s
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), dtype=np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    np.testing.assert_allclose(read_faces(tmp_path / "a.ts", rate=5).times, [0.0, 0.2, 0.4, 0.6], atol=1e-3)


def test_a_film_is_read_on_after_a_damaged_stretch(media, tmp_path):
    content = bytearray(media[1].read_bytes())
    begin = len(content) // 5
    content[begin : begin + 8000] = bytes(8000)
    (tmp_path / "scratched.mp4").write_bytes(content)
    assert read_faces(tmp_path / "scratched.mp4").times[-1] > 1.5


def test_faces_in_less_than_a_quarter_of_the_frames_are_few(astronaut):
    scene = cv2.resize(astronaut, (300, 300))
    empty = np.zeros_like(scene)
    for without, expected in ((3, ["faces"]), (4, ["faces", "few-faces"])):
        assert [note.code for note in read_faces(np.stack([scene] + [empty] * without)).features.notes] == expected


@pytest.mark.parametrize("wrong", [{"start": "1"}, {"end": np.array([1, 2])}, {"rate": None}, {"limit": "3"}])
def test_times_that_are_no_numbers_are_an_own_error(wrong):
    with pytest.raises(InputError, match="numbers"):
        read_faces(np.zeros((64, 64), np.uint8), **wrong)


def test_a_picture_of_one_grey_shows_no_face():
    for shown in (np.zeros((48, 48), np.uint8), np.full((64, 64, 3), 255, np.uint8), np.zeros((1, 1), np.uint8)):
        with pytest.raises(MediaError, match="no face"):
            read_faces(shown, detector="none")


def test_every_face_keeps_its_number_while_it_moves(astronaut):
    face = astronaut[40:200, 150:310]
    frames, _ = moving(face, 30, size=(480, 900))
    mirrored = face[:, ::-1]
    for step, frame in enumerate(frames):
        frame[300:460, 700 - 6 * step : 860 - 6 * step] = mirrored
    finder = FaceFinder("two faces", every=True)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    faces_by_frame = [finder.find_all(grey, step / 10) for step, grey in enumerate(greys)]
    assert {number for faces in faces_by_frame for number in faces} == {1, 2}
    assert sum(len(faces) == 2 for faces in faces_by_frame) >= 28
    paths = {number: [faces[number][1][0] for faces in faces_by_frame if number in faces] for number in (1, 2)}
    right = max(paths, key=lambda number: paths[number][0])
    assert np.diff(paths[right]).mean() == pytest.approx(-6, abs=1)
    assert np.diff(paths[3 - right]).mean() == pytest.approx(6, abs=1)


def test_a_face_that_leaves_is_forgotten_and_a_new_one_gets_a_new_number(astronaut):
    frames, _ = moving(astronaut[40:200, 150:310], 60)
    frames[20:45] = np.random.default_rng(2).integers(80, 120, frames[20:45].shape, dtype=np.uint8)
    finder = FaceFinder("a face", every=True)
    numbers = [
        set(finder.find_all(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), step / 10)) for step, frame in enumerate(frames)
    ]
    assert numbers[10] == {1}
    assert numbers[30] == set()
    assert numbers[55] == {2}


@pytest.mark.parametrize("color_range", [0, 1, 2])
@pytest.mark.parametrize("pixel_format", [*sorted(frames.PLANAR), "rgb24", "yuv420p10le", "gray"])
def test_luminance_is_that_of_pyavs_conversion(pixel_format, color_range):
    frame = av.VideoFrame(130, 66, pixel_format)
    for plane in frame.planes:
        plane.update(np.random.default_rng(0).integers(0, 256, plane.buffer_size, dtype=np.uint8).tobytes())
    frame.color_range = color_range
    np.testing.assert_array_equal(frames._luminance(frame), frame.reformat(format="gray").to_ndarray())
