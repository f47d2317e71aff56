"""The forms in which people have sound and faces give the same answer as a path."""

import io
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image

import emoembed
from emoembed.errors import EmoembedError, InputError, MediaError
from emoembed.features import media_files, picture_files
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading import inputs

LABELS = ["joy", "anger", "awe"]
RATE = 16_000


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


def same(one, other):
    assert one.scores == pytest.approx(other.scores, abs=2e-3)


def test_sound_in_every_form(recognizer, voice, tmp_path):
    samples = voice(1.5)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    content = (tmp_path / "a.wav").read_bytes()
    expected = recognizer.predict(audio=tmp_path / "a.wav", labels=LABELS)
    tensor = torch.from_numpy(samples)
    forms = [
        str(tmp_path / "a.wav"),
        content,
        io.BytesIO(content),
        (samples, RATE),
        (RATE, samples),
        (samples[:, None], RATE),
        (samples[None], RATE),
        (np.stack([samples, samples]), RATE),
        (tensor, RATE),
        (tensor[None], torch.tensor(RATE)),
        (samples.tolist(), RATE),
        {"array": samples, "sampling_rate": RATE},
        {"waveform": tensor[None], "sample_rate": RATE},
        {"path": str(tmp_path / "a.wav"), "bytes": None},
        {"path": None, "bytes": content},
    ]
    for form in forms:
        same(recognizer.predict(audio=form, labels=LABELS), expected)
    same(recognizer.predict(audio=(tensor.to(torch.bfloat16), RATE), labels=LABELS), expected)
    for result in recognizer.predict(audio=[*forms, pd.NA, None], text=["yes"] * (len(forms) + 2), labels=LABELS)[-2:]:
        assert list(result.modalities) == ["text"]


def test_faces_in_every_form(recognizer, tmp_path):
    grey = cv2.resize(np.random.default_rng(0).integers(0, 255, (10, 10), np.uint8), (60, 60))
    picture = np.stack([grey] * 3, axis=-1)
    Image.fromarray(picture).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    expected = recognizer.predict(video=tmp_path / "a.png", labels=LABELS)
    tensor = torch.from_numpy(picture)
    forms = [
        content,
        io.BytesIO(content),
        picture,
        picture / 255.0,
        Image.open(tmp_path / "a.png"),
        Image.open(tmp_path / "a.png").convert("L"),
        tensor,
        tensor.permute(2, 0, 1),
        (tensor.permute(2, 0, 1) / 255).to(torch.float32),
        [picture, picture],
        (Image.open(tmp_path / "a.png"),) * 2,
        {"image": picture, "face": True},
        {"path": str(tmp_path / "a.png"), "face": True},
        {"bytes": content, "path": None},
    ]
    for form in recognizer.predict(video=forms, labels=LABELS):
        same(form, expected)


def test_a_picture_said_to_be_the_face_is_not_searched(recognizer):
    scene = cv2.resize(np.random.default_rng(0).integers(0, 255, (10, 10), np.uint8), (400, 400))
    assert "no face found" in recognizer.predict("yes", video=scene, labels=LABELS).absent["video"]
    assert list(recognizer.predict(video={"image": scene, "face": True}, labels=LABELS).modalities) == ["video"]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"audio": 7}, r"audio must be a path, bytes, an open file, \(samples, sampling_rate\).*given int"),
        ({"audio": {"samples": [1]}}, "given a dictionary of samples"),
        ({"audio": np.zeros(9)}, "an audio array comes with its sampling rate"),
        ({"audio": (np.zeros((50, 40)), RATE)}, r"with at most 32 channels; given shape \(50, 40\)"),
        ({"audio": (np.full(RATE, 9000.0), RATE)}, "divide by their full scale"),
        ({"audio": (np.array(["a"]), RATE)}, "audio must be an array of numbers; given an array of <U1"),
        ({"video": {"face": True}}, "given a dictionary of face"),
        (
            {"video": [[np.zeros((9, 9)), np.zeros((8, 8))]]},
            r"frames of a video must have the same size; given \(8, 8\), \(9, 9\)",
        ),
        ({"video": [["a.png", "b.png"]]}, "a list of frames must have only pictures or arrays"),
        ({"video": 3.5}, "given float"),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_forms_that_have(recognizer, sources, message):
    with pytest.raises(InputError, match=message):
        recognizer.predict(**sources, labels=LABELS)


def test_a_float_file_of_another_scale_is_refused_as_the_array_is(recognizer, voice, tmp_path):
    soundfile.write(tmp_path / "a.wav", voice() * 32768, RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav: samples as floats lie in -1\.\.1; these reach .*full scale"):
        recognizer.predict(audio=tmp_path / "a.wav", labels=LABELS)


def test_a_name_longer_than_names_may_be_is_that_items_error(recognizer, voice):
    results = recognizer.predict(audio=["x" * 300 + ".wav", (voice(), RATE)], labels=LABELS, errors="skip")
    assert "no file can be called" in results[0].absent["audio"]
    assert results[1].label


def test_skipping_holds_for_adapting_and_attuning(recognizer, voice, tmp_path):
    sounds = [(voice(pitch=100 + 20 * i), RATE) for i in range(5)]
    with pytest.warns(UserWarning, match="1 of 6 items could not be used and were left out, such as: item 5"):
        attuned = recognizer.attune(audio=[*sounds, "none.wav"], errors="skip")
    assert attuned.model.state.attuned == {"audio": 5}
    support = [{"text": "well done", "label": "pride"}, {"audio": str(tmp_path / "none.wav"), "label": "pride"}]
    with pytest.warns(UserWarning, match="1 of 2 rows of the support could not be used"):
        adapted = recognizer.adapt(support, errors="skip")
    assert adapted.model.state.taught == {"pride": {"text": 1}}


@pytest.mark.parametrize(("label", "said"), [("3", "give the emotion"), ("joy, pride", r"list the names: \['joy'")])
def test_labels_that_are_no_names_are_refused(recognizer, label, said):
    with pytest.raises(InputError, match=f"row 0 of the support has the label {label!r}; {said}"):
        recognizer.adapt([{"text": "well done", "label": label}])


def test_a_hyphen_makes_no_other_emotion(recognizer):
    with pytest.raises(InputError, match="'self-hatred' and 'self hatred' are the same emotion"):
        recognizer.predict("yes", labels=["self-hatred", "self hatred"])


def test_a_film_whose_title_is_in_latin_1_is_read(recognizer, tmp_path):
    import av

    frame = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    with av.open(str(tmp_path / "a.avi"), "w") as film:
        film.metadata["title"] = "TITLE-XY"
        stream = film.add_stream("mjpeg", rate=5)
        stream.width = stream.height = 48
        stream.pix_fmt = "yuvj420p"
        for _ in range(3):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(stream.encode())
    content = Path(tmp_path / "a.avi").read_bytes()
    assert b"TITLE-XY" in content
    (tmp_path / "a.avi").write_bytes(content.replace(b"TITLE-XY", b"TITLE-\xe9\xfc"))
    assert recognizer.predict(video=tmp_path / "a.avi", labels=LABELS).label in LABELS


def test_a_picture_is_turned_as_its_exif_entry_says(tmp_path):
    entry = Image.Exif()
    entry[0x0112] = 6  # shown after a quarter turn
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=entry)
    assert inputs.frames_of(Image.open(tmp_path / "a.jpg"))[0].shape == (40, 20, 3)
    assert picture_files.read(tmp_path / "a.jpg").shape == (40, 20)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: as_text(path), InputError, "mode 'rb'"),
        (lambda path: io.StringIO("text"), InputError, "mode 'rb'"),
        (lambda path: b"", MediaError, "is empty"),
        (lambda path: closed(path), MediaError, "cannot be read"),
        (lambda path: Breaking(), MediaError, "cannot be read"),
    ],
)
@pytest.mark.parametrize("modality", ["audio", "video"])
def test_an_open_file_that_cannot_be_read_is_one_items_error(recognizer, tmp_path, modality, make, error, message):
    (tmp_path / "a.bin").write_bytes(b"\xff\xfe\x86\x00" * 30)
    with pytest.raises(error, match=message):
        recognizer.predict(**{modality: make(tmp_path / "a.bin")}, labels=["joy"])
    texts = ["I am happy", "I am sad"]
    skipped = recognizer.predict(
        texts, **{modality: [make(tmp_path / "a.bin"), None]}, labels=["joy", "fear"], errors="skip"
    )
    assert all(result.scores for result in skipped)
    assert list(skipped[0].absent) == [modality]


def as_text(path):
    return io.TextIOWrapper(io.BytesIO(path.read_bytes()), encoding="utf-8")


def closed(path):
    file = path.open("rb")
    file.close()
    return file


class Breaking(io.BytesIO):
    def read(self, *_):
        raise RuntimeError("the connection is gone")


def test_a_picture_of_sixteen_bits_is_one_of_eight(recognizer, tmp_path):
    grey = (np.linspace(0, 1, 48 * 48).reshape(48, 48) ** 2 * 255).astype(np.uint8)
    wide = Image.fromarray(grey.astype(np.uint16) << 8)
    wide.save(tmp_path / "wide.png")
    given = [grey, wide, tmp_path / "wide.png", wide.convert("I"), Image.fromarray(grey.astype(np.int32))]
    results = [recognizer.predict(video=picture, labels=["joy", "fear"]).scores for picture in given]
    assert all(scores == results[0] for scores in results)


def test_an_open_file_of_the_disk_is_not_read_into_memory(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"content")
    with (tmp_path / "a.bin").open("rb") as file:
        file.read()
        assert media_files.openable(file, "sound") is file
        assert file.tell() == 0


@pytest.mark.parametrize("face", [1, "true", None])
def test_whether_a_picture_is_a_face_is_true_or_false(recognizer, face):
    with pytest.raises(InputError, match="'face' must be True or False"):
        recognizer.predict(video={"image": np.zeros((64, 64, 3), np.uint8), "face": face}, labels=["joy"])


@pytest.mark.parametrize(
    "audio",
    [
        ([[0.1, 0.2], [0.3]], 16_000),
        ({"array": [0.1]}, 16_000),
        {"array": {"array": [0.1]}, "sampling_rate": 16_000},
        {"path": {"path": "a.wav"}},
        (torch.zeros(8, device="meta"), 16_000),
        (torch.zeros(8).to_sparse(), 16_000),
    ],
)
def test_sound_in_a_form_that_there_is_not_is_an_own_error(recognizer, audio):
    with pytest.raises(InputError, match="audio"):
        recognizer.predict(audio=audio, labels=["joy"])


def test_half_a_character_and_many_marks_in_a_text_end_nothing(recognizer):
    results = recognizer.predict(
        ["I am happy", "sad \ud800 day", "I am happy" + "!" * 19_900 + "x"], labels=["joy", "fear"]
    )
    assert all(result.scores for result in results)


@pytest.mark.parametrize(
    "wrong",
    [{"multi_label": "no"}, {"errors": np.array(["raise"])}, {"abstain": "yes"}],
)
def test_an_option_of_the_wrong_kind_is_an_own_error(recognizer, wrong):
    with pytest.raises(InputError):
        recognizer.predict("I am happy", labels=["joy"], **wrong)
    with pytest.raises(EmoembedError):
        emoembed.predict("I am happy", labels=["joy"], device=[])
    with pytest.raises(EmoembedError):
        emoembed.predict("I am happy", labels=["joy"], model="ba\0se")


@pytest.mark.parametrize(
    "wrong",
    [
        {"support": pd.Series(["a"])},
        {"support": np.array(3)},
        {"support": [{1: "x", "label": "joy"}]},
    ],
)
def test_what_adapt_cannot_take_is_an_own_error(recognizer, wrong):
    with pytest.raises(InputError):
        recognizer.adapt(**wrong)


def test_masked_samples_are_refused(recognizer):
    samples = np.ma.masked_greater(np.sin(np.arange(16_000) / 10), 0.9)
    with pytest.raises(InputError, match=r"the audio array has \d+ masked values; replace them"):
        recognizer.predict(audio=(samples, 16_000), labels=LABELS)
