import os
import struct
import time

import librosa
import numpy as np
import pytest
import soundfile
from scipy.sparse import issparse

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features import audio, sound_files, speech_check
from emoembed.features.media_files import tracks_of

RATE = audio.SAMPLING_RATE


def tone(hertz=200.0, seconds=1.0, rate=RATE):
    time = np.arange(int(seconds * rate)) / rate
    return (0.1 * sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 10))).astype(np.float32)


def test_pitch_and_voicing_of_a_tone():
    values = dict(zip(audio.SPEECH.columns, audio.speech(tone(), RATE).values.T, strict=True))
    assert np.median(values["f0"]) == pytest.approx(12 * np.log2(200 / 55), abs=0.5)
    assert np.median(values["voicing"]) > 0.95
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert np.median(audio.speech(noise, RATE).values[:, audio.SPEECH.columns.index("voicing")]) < 0.5


def test_louder_by_six_decibels():
    quiet, loud = audio.log_mel(tone()).values, audio.log_mel(2 * tone()).values
    above = quiet > audio.FLOOR_DB + 1
    np.testing.assert_allclose((loud - quiet)[above], 20 * np.log10(2), atol=0.01)


def test_a_file_an_array_and_another_rate_agree(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.flac", tone(), RATE)
    soundfile.write(tmp_path / "b.wav", np.stack([tone(rate=44_100)] * 2, axis=1), 44_100)
    array, file = audio.speech(tone(), RATE).values[:, :64], audio.speech(tmp_path / "a.flac").values[:, :64]
    np.testing.assert_allclose(file[array > -40], array[array > -40], atol=0.5)  # below lies what 16 bits round away
    assert len(audio.read_audio(tmp_path / "b.wav")) == pytest.approx(RATE, abs=2)
    assert len(audio.read_audio(tmp_path / "a.flac", start=0.25, end=0.75)) == RATE // 2


@pytest.fixture
def film(tmp_path):
    """A second of a low tone and one of a high one, the sound track of a film (AAC)."""
    import av

    samples = np.concatenate([tone(150.0), tone(300.0)])
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        for first in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], format="fltp", layout="mono")
            frame.rate, frame.pts = RATE, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return tmp_path / "film.mp4"


def test_the_sound_track_of_a_film_is_read(film):
    def pitch(samples):
        values = audio.speech(samples, RATE).values[:, audio.SPEECH.columns.index("f0")]
        return 55 * 2 ** (np.median(values[values > 0]) / 12)

    whole = audio.read_audio(film)
    assert len(whole) == pytest.approx(2 * RATE, abs=3000)
    late, early = audio.read_audio(film, start=1.2), audio.read_audio(film, end=0.8)
    assert len(early) == 0.8 * RATE
    assert [pitch(early), pitch(late)] == pytest.approx([150, 300], rel=0.02)
    np.testing.assert_allclose(early, whole[: len(early)], atol=1e-4)  # each without the offset of its own


def test_a_film_is_decoded_no_further_than_asked(film, monkeypatch):
    blocks, real = [], sound_files._decoded_frames
    monkeypatch.setattr(
        sound_files, "_decoded_frames", lambda *asked: (blocks.append(one) or one for one in real(*asked))
    )
    audio.read_audio(film, end=0.5)
    assert 0.5 * RATE <= sum(map(len, blocks)) < 0.7 * RATE


def test_what_is_looked_at_can_be_limited_and_is_told_when_nothing_is_heard_in_it(tmp_path):
    sound = np.concatenate([np.zeros(RATE, np.float32), tone()])
    assert len(audio.read_audio(sound, RATE, limit=1.5)) == 1.5 * RATE
    assert len(audio.read_audio(sound, RATE, start=0.5, limit=1.0)) == RATE
    assert len(audio.read_audio(sound, RATE, start=0.5, end=1.2, limit=1.0)) == pytest.approx(0.7 * RATE, abs=1)
    with pytest.raises(MediaError, match=r"the first 0\.50 s of silence"):
        audio.read_audio(sound, RATE, limit=0.5)
    with pytest.raises(MediaError, match=r": 1\.00 s of silence"):  # all of it, not the first part
        audio.read_audio(sound[:RATE], RATE, limit=300.0)
    with pytest.raises(MediaError, match=r"no samples$"):
        audio.read_audio(sound[:0], RATE, limit=0.5)


def test_silence_at_the_ends_is_trimmed():
    padded = np.concatenate([np.zeros(RATE, np.float32), tone(), np.zeros(RATE, np.float32)])
    assert len(audio.speech(padded, RATE).values) == pytest.approx(100, abs=20)


@pytest.mark.parametrize(
    ("source", "rate", "error", "said"),
    [
        ("nowhere.wav", None, MissingFileError, "no sound file at nowhere.wav"),
        (np.zeros(RATE), RATE, MediaError, "1.00 s of silence"),
        (np.zeros(0), RATE, MediaError, "no samples"),
        (np.full(RATE, np.nan), RATE, InputError, "NaN or infinite"),
        (tone(), None, InputError, "needs its sampling_rate"),
        (np.zeros((2, 2, 2)), RATE, InputError, r"given shape \(2, 2, 2\)"),
        ("nowhere.wav", RATE, InputError, "states its own"),
    ],
)
def test_bad_sound_is_told(source, rate, error, said):
    with pytest.raises(error, match=said):
        audio.read_audio(source, rate)


def test_a_text_file_is_no_sound(tmp_path):
    (tmp_path / "a.wav").write_text("not a sound at all")
    with pytest.raises(MediaError, match="cannot be read as sound"):
        audio.read_audio(tmp_path / "a.wav")


def test_integers_are_scaled_by_their_type():
    wave = tone()
    exact = audio.read_audio(wave, RATE)
    for kind, scaled in (
        (np.int16, wave * 32768),
        (np.int32, wave * 2.0**31),
        (np.uint8, wave * 128 + 128),
    ):
        found = audio.read_audio(np.round(scaled).astype(kind), RATE)
        np.testing.assert_allclose(found, exact, atol=0.01 if kind is np.uint8 else 1e-4)


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.full(16_000, 3000.0), r"lie in -1\.\.1; these reach 3000"),
        (np.ones(16_000, np.int64), "floats in -1..1, int16, int32 or uint8; given int64"),
        (np.array(["a"] * 99), "floats in -1..1"),
    ],
)
def test_samples_without_a_scale_are_refused(samples, says):
    with pytest.raises(InputError, match=says):
        audio.read_audio(samples, 16_000)


@pytest.mark.parametrize("rate", [None, 16, "x", float("nan"), -1, 10**7])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(InputError, match="needs its sampling_rate, 4000 to 400000 Hz"):
        audio.read_audio(np.ones(16_000), rate)


def wav(content, rate, codec=1):
    """A WAV file of one channel that states this rate and this codec."""
    form = struct.pack("<IHHIIHH", 16, codec, 1, rate, rate * 2, 2, 16)
    body = b"WAVEfmt " + form + b"data" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("rate", [1, 50, 3_999, 400_001])
def test_a_file_of_a_rate_that_is_none_is_refused(rate):
    content = wav((tone() * 32768).astype("<i2").tobytes(), rate)
    message = f"states a sampling rate of {rate} Hz; expected 4000 to 400000 Hz"
    with pytest.raises(MediaError, match=message):
        audio.read_audio(content)
    with pytest.raises(MediaError, match=message):
        list(sound_files.blocks(content))


@pytest.mark.parametrize("samples", [np.ma.masked_all(RATE), np.ma.array(np.ones(RATE), mask=np.arange(RATE) < 9)])
def test_masked_samples_are_refused(samples):
    with pytest.raises(InputError, match=r"the audio array has \d+ masked values; replace them"):
        audio.read_audio(samples, RATE)
    assert len(audio.read_audio(np.ma.array(tone()), RATE)) == RATE


def test_a_blink_of_sound_and_a_constant_are_told():
    with pytest.raises(MediaError, match=r"0\.0002 s of sound; at least 0\.1 s"):
        audio.read_audio(np.ones(3), 16_000)
    with pytest.raises(MediaError, match="silence"):
        audio.read_audio(np.full(16_000, 0.3), 16_000)


@pytest.mark.parametrize(
    "times",
    [
        {"start": -1.0},
        {"start": float("nan")},
        {"start": 1.0, "end": 1.0},
        {"start": 1.0, "end": 0.5},
        {"start": 0.0, "end": float("nan")},
        {"limit": 0.0},
        {"limit": -2.0},
        {"limit": float("nan")},
    ],
)
def test_times_that_are_none_are_refused(times):
    sound = np.sin(np.arange(32_000) / 10).astype(np.float32)
    with pytest.raises(InputError, match="numbers of seconds, with 0 <= start < end and 0 < limit; given"):
        audio.read_audio(sound, 16_000, **times)
    assert len(audio.read_audio(sound, 16_000, start=0.5, end=float("inf"))) == 24_000


def around(sound, seconds, level=1e-3, seed=0):
    """A recording with faint noise before and after it."""
    noise = np.random.default_rng(seed).normal(0, level, int(seconds * RATE)).astype(np.float32)
    return np.concatenate([noise, sound, noise])


def test_an_offset_changes_nothing_of_any_channel(voice):
    plain = audio.speech(voice(2.0), RATE).values
    for offset in (0.01, 0.1):
        np.testing.assert_allclose(audio.speech(voice(2.0) + np.float32(offset), RATE).values, plain, atol=0.05)
    both = np.stack([voice(2.0) + 0.1, voice(2.0) - 0.2], axis=1).astype(np.float32)
    np.testing.assert_allclose(audio.speech(both, RATE).values, plain, atol=0.05)


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_noise_around_speech_is_trimmed(voice, seconds):
    quiet = np.zeros(RATE // 2, np.float32)
    plain = np.concatenate([quiet, voice(2.0), quiet])
    expected, noisy = audio.speech(plain, RATE).values, audio.speech(around(plain, seconds), RATE).values
    assert len(noisy) == pytest.approx(len(expected), abs=2)
    np.testing.assert_allclose(noisy[10:-10, 2:80].mean(axis=0), expected[10:-10, 2:80].mean(axis=0), atol=1.0)


def test_a_click_before_speech_is_trimmed(voice):
    click = np.zeros(RATE + 16, np.float32)
    click[:16] = 0.9
    expected = audio.speech(voice(2.0), RATE).values
    clicked = audio.speech(np.concatenate([click, voice(2.0)]), RATE).values
    assert len(clicked) == pytest.approx(len(expected), abs=6)


def test_a_whisper_is_trimmed_by_its_loudness():
    noise = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    syllables = np.clip(np.sin(2 * np.pi * 4 * np.arange(RATE) / RATE), 0, None).astype(np.float32)
    quiet = np.zeros(RATE, np.float32)
    values = audio.speech(np.concatenate([quiet, noise * syllables, quiet]), RATE)
    assert 85 <= len(values.values) <= 115
    assert speech_check.no_speech(values.values) is None


def test_a_file_without_a_header_is_told_to_come_as_an_array(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(4000))
    with pytest.raises(MediaError, match=r"a\.raw has raw samples without a header; give \(samples, sampling_rate\)"):
        audio.read_audio(tmp_path / "a.raw")


def test_a_sound_whose_rate_changes_midway_is_told(tmp_path):
    import av

    for rate in (16_000, 44_100):
        with av.open(str(tmp_path / f"{rate}.aac"), "w", format="adts") as container:
            stream = container.add_stream("aac", rate=rate, layout="mono" if rate == 16_000 else "stereo")
            for i in range(8):
                shape = (1 if rate == 16_000 else 2, 1024)
                frame = av.AudioFrame.from_ndarray(
                    np.full(shape, 0.1, np.float32), format="fltp", layout=stream.layout.name
                )
                frame.rate, frame.pts = rate, i * 1024
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    (tmp_path / "joined.aac").write_bytes((tmp_path / "16000.aac").read_bytes() + (tmp_path / "44100.aac").read_bytes())
    with pytest.raises(MediaError, match=r"joined\.aac cannot be read as sound"):
        audio.read_audio(tmp_path / "joined.aac")


DATA = os.environ.get("EMOEMBED_DATA")


@pytest.mark.skipif(DATA is None, reason="EMOEMBED_DATA names no folder of corpora")
@pytest.mark.parametrize("name", ["ravdess", "tess", "emodb"])
def test_no_real_clip_is_taken_for_no_speech(name):
    from emoembed import corpora

    paths = list(corpora.load(name, DATA).samples["audio"])[::10]
    refused = [path for path in paths if speech_check.no_speech(audio.speech(path).values)]
    assert refused == []


def test_a_file_its_bytes_and_the_open_file_are_the_same_sound(tmp_path):
    import soundfile

    sound = tone(rate=44_100)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, -sound], axis=1), 44_100)
    expected = audio.read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(audio.read_audio((tmp_path / "a.wav").read_bytes()), expected)
    with (tmp_path / "a.wav").open("rb") as file:
        np.testing.assert_array_equal(audio.read_audio(file), expected)


@pytest.mark.parametrize(("level", "noted"), [(0.9, True), (-0.9, True), (0.04, False)])
def test_flat_tops_of_either_side_are_clipping_unless_all_is_quiet(level, noted):
    sound = 0.1 * tone()
    sound[1000:1050] = level
    assert (speech_check.clipping(sound) is not None) == noted


def test_half_a_tenth_of_a_second_is_too_short():
    with pytest.raises(MediaError, match=r"0\.0500 s of sound; at least 0\.1 s are needed"):
        audio.read_audio(tone(seconds=0.05), RATE)


def test_a_sound_as_long_as_what_is_looked_at_is_not_cut():
    assert audio.waveform(tone(seconds=1.0), RATE, limit=1.0).notes == ()
    assert [note.code for note in audio.waveform(tone(seconds=1.1), RATE, limit=1.0).notes] == ["cut"]


def test_a_film_of_which_a_part_is_looked_at_says_so(film):
    (note,) = (note for note in audio.waveform(film, limit=1.0).notes if note.code == "cut")
    assert note.text == "the first 1 of 2 s were read"


@pytest.mark.parametrize("wrong", [{"start": "1"}, {"end": np.array([1, 2])}, {"limit": "3"}])
def test_times_that_are_no_numbers_are_an_own_error(voice, wrong):
    with pytest.raises(InputError, match="seconds"):
        audio.read_audio(voice(1.0), 16_000, **wrong)


@pytest.mark.parametrize(
    "content",
    [
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        b"ffconcat version 1.0\nfile secret.wav\n",
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.wav\n",
    ],
)
def test_a_playlist_reads_no_other_file_and_no_network(content, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "secret.wav", np.ones(16_000, np.float32) * 0.1, 16_000)
    monkeypatch.chdir(tmp_path)
    begin = time.monotonic()
    with pytest.raises(MediaError):
        audio.read_audio(content)
    with pytest.raises(MediaError):
        tracks_of(content)
    for path in (tmp_path / "list", tmp_path / "list.wav", tmp_path / "list.m3u8"):
        path.write_bytes(content)
        with pytest.raises(MediaError):
            audio.read_audio(path)
        with pytest.raises(MediaError):
            tracks_of(path)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("seconds", [0.02, 0.5, 3.0])
def test_log_mel_is_that_of_librosa(voice, seconds):
    samples = np.pad(voice(seconds), (0, 400))
    power = librosa.feature.melspectrogram(y=samples, sr=16_000, n_fft=400, hop_length=160, n_mels=80)
    np.testing.assert_allclose(audio.log_mel(samples).values, 10 * np.log10(np.maximum(power.T, 1e-11)), atol=1e-4)
    assert issparse(
        audio._mel_filters()
    )  # a dense product would use BLAS, whose threads and torch's disturb each other


def test_damaged_packets_are_silence_and_are_told(tmp_path, voice):
    import av

    samples = np.pad(voice(6.0), (0, 1024))
    with av.open(str(tmp_path / "talk.mkv"), "w") as container:
        track = container.add_stream("aac", rate=RATE, layout="mono")
        packets = []
        for first in range(0, 6 * RATE, 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], format="fltp", layout="mono")
            frame.rate, frame.pts = RATE, first
            packets += track.encode(frame)
        for number, packet in enumerate([*packets, *track.encode(None)]):
            if number in (30, 31, 32):
                half = av.Packet(bytes(packet)[: packet.size // 2])
                half.pts, half.dts, half.time_base, half.stream = (
                    packet.pts,
                    packet.dts,
                    packet.time_base,
                    packet.stream,
                )
                container.mux(half)
            else:
                container.mux(packet)
    features = audio.speech(tmp_path / "talk.mkv")
    assert len(audio.read_audio(tmp_path / "talk.mkv")) / RATE == pytest.approx(6.0, abs=0.15)
    assert [note.text for note in features.notes if note.code == "damaged"] == [
        "3 damaged parts of the sound were left out"
    ]


def write_track(path, samples, rate=RATE, codec="aac", options=None, **form):
    """Write `(channels, samples)` as a sound track."""
    import av

    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(str(path), "w", options=options or {}, **form) as container:
        track = container.add_stream(codec, rate=rate, layout=layout)
        for first in range(0, samples.shape[1], 1024):
            part = np.ascontiguousarray(samples[:, first : first + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.rate, frame.pts = rate, first
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.mp4", "a.mkv"])
def test_channels_that_cancel_each_other_are_heard_in_compressed_files(tmp_path, name, voice):
    expected = audio.speech(voice(2.0), RATE).values
    opposite = np.stack([voice(2.0), -voice(2.0)])
    if name == "a.mp3":
        soundfile.write(tmp_path / name, opposite.T, RATE)
    else:
        write_track(tmp_path / name, opposite, format="mp4" if name == "a.m4a" else None)
    features = audio.speech(tmp_path / name)
    assert [note.code for note in features.notes if note.code == "channels-cancel"] == ["channels-cancel"]
    assert features.values[:, :40].mean() == pytest.approx(expected[:, :40].mean(), abs=3.0)


def test_a_compressed_sound_of_too_many_samples_is_mixed_while_it_is_read(tmp_path, voice, monkeypatch):
    expected = voice(2.0)
    soundfile.write(tmp_path / "a.mp3", np.stack([expected, -expected], axis=1), RATE)
    monkeypatch.setattr(sound_files, "SOUND_SAMPLES", 30_000)
    samples = audio.read_audio(tmp_path / "a.mp3")
    assert len(samples) == pytest.approx(2 * RATE, abs=2000)
    assert np.abs(samples).std() == pytest.approx(np.abs(expected).std(), rel=0.2)


def test_clipping_is_noted_in_compressed_files(tmp_path, voice):
    for gain, codes in ((1.0, []), (20.0, ["clipped"])):
        soundfile.write(tmp_path / "a.mp3", np.clip(gain * voice(2.0), -1, 1), RATE)
        notes = audio.waveform(tmp_path / "a.mp3").notes
        assert [note.code for note in notes] == codes


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_clipping_below_full_scale_is_noted_in_compressed_files(tmp_path, voice, suffix):
    sound = voice(2.0)
    level = np.quantile(np.abs(sound), 0.85)
    for copy, codes in ((sound, []), (0.6 / level * np.clip(sound, -level, level), ["clipped"])):
        soundfile.write(tmp_path / f"a{suffix}", copy, RATE)
        assert [note.code for note in audio.waveform(tmp_path / f"a{suffix}").notes] == codes


def test_a_sound_without_a_stored_length_says_that_it_is_longer(tmp_path, voice):
    path = write_track(tmp_path / "live.mkv", voice(3.0)[None], format="matroska", options={"live": "1"})
    assert tracks_of(path).seconds is None
    assert [note.text for note in audio.waveform(path, limit=1.0).notes] == [
        "the first 1 s were read; the recording is longer"
    ]
    assert audio.waveform(path, limit=3.0).notes == audio.waveform(path, limit=4.0).notes == ()
    assert audio.waveform(path, end=1.0, limit=2.0).notes == ()


def test_a_wav_that_contains_mp3_prints_nothing(tmp_path, voice, capfd):
    soundfile.write(tmp_path / "a.mp3", voice(2.0), RATE)
    content = bytearray((tmp_path / "a.mp3").read_bytes())
    for position in range(500, len(content), 300):
        content[position] ^= 255
    audio.read_audio(wav(bytes(content), RATE, codec=0x55))
    assert capfd.readouterr().err == ""
