"""Make a short sound and a short video to try emoembed: `python examples/make_demo_media.py --output demo-media`.

The video pans and zooms slowly over a photograph of the astronaut Eileen Collins, from scikit-image (NASA, public
domain). The voice is synthesised here; it is not a recording of a person.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

VIDEO_SIZE = (640, 480)
FRAME_RATE = 25
VIDEO_SECONDS = 2.0
SAMPLING_RATE = 16_000
VOICE_SECONDS = 2.5
SYLLABLES = (
    (0.10, 0.45),
    (0.50, 0.80),
    (1.05, 1.30),
    (1.35, 1.75),
    (1.95, 2.40),
)  # start and end in seconds; pauses between them
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (660, 1720, 2410))
"""Formants in Hz of a, e, i, o, ae in a man's voice (Peterson & Barney 1952, table II)."""
BANDWIDTHS = (80, 100, 140)  # Hz


def make_demo_media(folder: Path) -> tuple[Path, Path]:
    """Write `voice.wav` and `face.mp4` into a folder and return their paths. A missing folder is created."""
    folder.mkdir(parents=True, exist_ok=True)
    sound, video = folder / "voice.wav", folder / "face.mp4"
    _write_sound(sound, voice())
    _write_video(video, moving_face())
    return sound, video


def voice() -> np.ndarray:
    """Five syllables of a synthetic voice with gliding pitch and vibrato: float32 `(samples,)` at 16 kHz, in -1..1."""
    time = np.arange(int(VOICE_SECONDS * SAMPLING_RATE)) / SAMPLING_RATE
    glide = np.interp(time, [0.0, 0.8, 1.2, 1.6, VOICE_SECONDS], [140.0, 210.0, 150.0, 230.0, 120.0])
    pitch = glide * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLING_RATE
    middles = [(begin + end) / 2 for begin, end in SYLLABLES]
    formants = [np.interp(time, middles, [vowel[i] for vowel in VOWELS]) for i in range(3)]
    sound = np.zeros_like(time)
    for harmonic in range(1, int(SAMPLING_RATE / 2 / pitch.max())):
        # the glottal source falls by 12 dB per octave, and lip radiation rises by 6 dB per octave
        sound += _resonance(harmonic * pitch, formants) / harmonic * np.sin(harmonic * phase)
    breath = 0.003 * np.random.default_rng(0).standard_normal(len(time))
    sound = sound / np.abs(sound).max() * _loudness(time) + breath
    return (0.7 * sound / np.abs(sound).max()).astype(np.float32)


def moving_face() -> np.ndarray:
    """The photograph of the astronaut, seen by a moving camera: RGB uint8 `(50, 480, 640, 3)`."""
    import cv2
    from skimage import data

    photograph = data.astronaut()
    frames = []
    for step in np.linspace(0.0, 1.0, int(VIDEO_SECONDS * FRAME_RATE)):
        scale = 1.3 + 0.15 * step
        centre = np.array(
            [235.0 + 12.0 * np.sin(2 * np.pi * step), 180.0 + 6.0 * step]
        )  # of the view, in pixels of the photograph
        offset = np.array(VIDEO_SIZE) / 2 - scale * centre
        view = np.array([[scale, 0.0, offset[0]], [0.0, scale, offset[1]]])
        frames.append(cv2.warpAffine(photograph, view, VIDEO_SIZE, borderMode=cv2.BORDER_REFLECT))
    return np.stack(frames)


def _resonance(hertz: np.ndarray, formants: list[np.ndarray]) -> np.ndarray:
    """Gain of a chain of second-order resonators, one for each formant, at the frequency of each sample."""
    gain = np.ones_like(hertz)
    for formant, bandwidth in zip(formants, BANDWIDTHS, strict=True):
        gain *= formant**2 / np.sqrt((formant**2 - hertz**2) ** 2 + (bandwidth * hertz) ** 2)
    return gain


def _loudness(time: np.ndarray) -> np.ndarray:
    loudness = np.zeros_like(time)
    for begin, end in SYLLABLES:
        inside = (time >= begin) & (time < end)
        loudness[inside] = np.sin(np.pi * (time[inside] - begin) / (end - begin)) ** 0.5
    return loudness


def _write_sound(path: Path, samples: np.ndarray) -> None:
    import soundfile

    partial = path.with_name(f".{path.name}.partial")
    soundfile.write(partial, samples, SAMPLING_RATE, format="WAV", subtype="PCM_16")
    os.replace(partial, path)


def _write_video(path: Path, frames: np.ndarray) -> None:
    import av

    partial = path.with_name(f".{path.name}.partial")
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=FRAME_RATE)  # the encoder of FFmpeg itself; it needs no GPL library
        stream.width, stream.height = VIDEO_SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a short voice and a short video of a face to try emoembed.")
    parser.add_argument("--output", type=Path, default=Path("demo-media"), help="output folder")
    for path in make_demo_media(parser.parse_args().output):
        print(path)


if __name__ == "__main__":
    main()
