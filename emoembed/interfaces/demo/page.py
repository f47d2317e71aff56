"""A page in the browser to try a model: one item, a long recording, and teaching by examples.

Each visitor has a separate model: no visitor sees what another visitor teaches.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from emoembed.errors import EmoembedError, InputError
from emoembed.features.media_files import tracks_of
from emoembed.labels.emotion import canonical, names_in
from emoembed.model.config import MODALITIES
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.result import Result

LABELS = "joy, sadness, anger, fear, surprise, disgust, relief, nostalgia"
NAMES = {"text": "Words alone", "audio": "Voice alone", "video": "Face alone"}
INTRODUCTION = """# emoembed
Any emotion name, from words, voice and face. A score says how near an item is to a name. It does not say what a person
feels. Do not use it to decide about people. Your data stay on this machine."""
HEIGHT = 220
"""Height of a picture or film on the page, in pixels."""
UPLOADED = r"\S*/gradio/[0-9a-f]{32,}/"
"""The folder of an uploaded file, which is left out of messages."""
SHOWN = 10
"""Labels that a chart shows."""
KEPT_SECONDS = 3600
"""Uploaded files are deleted after this time."""
Charts = list[Any]


def names_of(text: str) -> list[str]:
    """The emotion names in a text: one per line, or separated by commas. Repeated names are left out."""
    return list(dict.fromkeys(names_in(text.replace("\n", ","))))


def answer(
    recognizer: Recognizer,
    text: str,
    sound: str | None,
    picture: np.ndarray | None,
    film: str | None,
    labels: str,
) -> Result:
    """Score one item as the form gives it. The sound of a film is also scored, unless there is a sound file too.

    Raises:
        InputError: nothing was given, or a picture and a film at the same time.
    """
    if picture is not None and film is not None:
        raise InputError("a picture and a film were given; remove one of them")
    heard = film if sound is None and film is not None and tracks_of(film).sound else sound
    sources = {"text": text.strip() or None, "audio": heard, "video": picture if film is None else film}
    inputs: dict[str, Any] = {
        name: value for name, value in sources.items() if value is not None and name in recognizer.model.modalities
    }
    if not inputs:
        read = ", ".join(recognizer.model.modalities)
        raise InputError(f"nothing was given that this model reads ({read}); write a text or add a file")
    result: Result = recognizer.predict(**inputs, labels=names_of(labels) or None)
    return result


def charts(result: Result) -> Charts:
    """Updates of the page: the chart of all modalities together, a chart for each modality, and the notes."""
    together = gr.update(value=result.scores, visible=True)
    each = []
    for name in MODALITIES:
        part = result.modalities.get(name)
        title = f"{NAMES[name]} (weight {part.weight:.2f})" if part else NAMES[name]
        each.append(gr.update(value=part.scores if part else None, label=title, visible=part is not None))
    return [together, *each, told(result)]


def told(result: Result) -> str:
    """The answer and its warnings in sentences (Markdown)."""
    lines = [f"**{result.label}**, confidence {result.confidence:.2f}" if result.label else "**No answer.**"]
    lines += [f"- {name}: {re.sub(UPLOADED, '', reason)}" for name, reason in result.absent.items()]
    lines += [f"- {note.text}" for note in result.notes]
    return "\n".join(lines)


def over_time(recognizer: Recognizer, file: str | None, labels: str, window: float) -> tuple[Any, pd.DataFrame, str]:
    """The plot of a long recording, its runs of one emotion, and its table as a file."""
    if file is None:
        raise InputError("no recording was given; add a sound file or a film")
    timeline = recognizer.timeline(file, names_of(labels) or None, window=window)
    reasons = {f"{name}: {reason}" for part in timeline for name, reason in part.absent.items()}
    if not any(part.scores for part in timeline):
        raise InputError(f"no part of the recording could be scored; {'; '.join(sorted(reasons)[:3])}")
    figure = timeline.plot()
    rows = [
        {"start": part.start, "end": part.end, "label": part.label, "confidence": round(part.confidence, 2)}
        for part in timeline.segments()
    ]
    folder = Path(file).with_name(secrets.token_hex(8))  # visitors with the same recording do not share a table
    folder.mkdir()
    table = folder / "timeline.csv"
    timeline.to_frame().to_csv(table, index=False)
    return figure, pd.DataFrame(rows), str(table)


def taught(recognizer: Recognizer, label: str, texts: str, sounds: Sequence[str] | None) -> Recognizer:
    """A model that was taught a label by texts, one per line, and by sound files.

    Raises:
        InputError: no name or no example was given.
    """
    support = [{"text": line.strip(), "label": label.strip()} for line in texts.splitlines() if line.strip()]
    support += [{"audio": path, "label": label.strip()} for path in sounds or ()]
    if not label.strip() or not support:
        raise InputError("a name and at least one example are needed")
    return recognizer.adapt(support)


def with_label(names: str, label: str) -> str:
    """The field of names with a taught label. An empty field means the labels of the model, which has learned it."""
    known = {canonical(name) for name in names_of(names)}
    return f"{names}, {label}" if known and canonical(label) not in known else names


def create_page(recognizer: Recognizer) -> gr.Blocks:
    """The page for a model."""
    with gr.Blocks(title="emoembed", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(INTRODUCTION)
        own = gr.State(None)  # the visitor's model once something was taught
        labels = gr.Textbox(LABELS, label="Emotion names", info="Any names, separated by commas.", elem_id="labels")
        modalities = recognizer.model.modalities
        with gr.Tab("One item"):
            _add_item(recognizer, own, labels)
        if {"audio", "video"} & set(modalities):
            with gr.Tab("A long recording"):
                _add_recording(recognizer, own, labels)
        with gr.Tab("Teach an emotion"):
            _add_teaching(recognizer, own, labels)
    return page


def _add_item(recognizer: Recognizer, own: gr.State, labels: gr.Textbox) -> None:
    modalities = recognizer.model.modalities
    with gr.Row():
        with gr.Column():
            text = gr.Textbox(label="What is said", lines=3, visible="text" in modalities, elem_id="text")
            sound = gr.Audio(
                label="Voice",
                sources=["upload", "microphone"],
                type="filepath",
                visible="audio" in modalities,
                elem_id="sound",
            )
            with gr.Accordion("Face", open=False, visible="video" in modalities):
                gr.Markdown("A film is read even if the browser cannot play it. Its sound counts as voice.")
                with gr.Row():
                    picture = gr.Image(label="Picture", sources=["upload", "webcam"], height=HEIGHT, elem_id="picture")
                    film = gr.Video(label="Film", sources=["upload", "webcam"], height=HEIGHT, elem_id="film")
            button = gr.Button("Score", variant="primary", elem_id="score")
        with gr.Column():
            told_answer = gr.Markdown(elem_id="answer")
            shown = [
                gr.Label(
                    label=name,
                    num_top_classes=SHOWN,
                    visible=i == 0,
                    show_heading=i == 0,
                    elem_id=f"chart-{i or 'all'}",
                )
                for i, name in enumerate(("Together", *NAMES.values()))
            ]

    def score(model: Recognizer | None, *given: Any) -> Charts:
        return charts(answer(model or recognizer, *given))

    gr.on(
        [button.click, text.submit],
        _with_errors(score),
        [own, text, sound, picture, film, labels],
        [*shown, told_answer],
    )


def _add_recording(recognizer: Recognizer, own: gr.State, labels: gr.Textbox) -> None:
    with gr.Row():
        file = gr.File(label="Sound file or film", elem_id="recording")
        window = gr.Slider(1.0, 15.0, value=4.0, step=0.5, label="Window in seconds")
    button = gr.Button("Show the timeline", variant="primary", elem_id="show")
    plot = gr.Plot(show_label=False, elem_id="timeline")
    table = gr.Dataframe(label="Segments", interactive=False, elem_id="runs")
    download = gr.File(label="All windows as a table", interactive=False)

    def show(model: Recognizer | None, *given: Any) -> tuple[Any, pd.DataFrame, str]:
        figure, runs, path = over_time(model or recognizer, *given)
        download.temp_files.add(path)  # so that it is deleted with the uploaded files
        return figure, runs, path

    button.click(_with_errors(show), [own, file, labels, window], [plot, table, download])


def _add_teaching(recognizer: Recognizer, own: gr.State, labels: gr.Textbox) -> None:
    gr.Markdown("Examples of one emotion, in text or sound. The model of this page knows them until you close it.")
    name = gr.Textbox(label="Name of the emotion", elem_id="name")
    with gr.Row():
        texts = gr.Textbox(label="Texts, one per line", lines=6, elem_id="examples")
        sounds = gr.File(label="Sound files", file_count="multiple", visible="audio" in recognizer.model.modalities)
    with gr.Row():
        button = gr.Button("Teach", variant="primary", elem_id="teach")
        forget = gr.Button("Forget all that was taught")
    message = gr.Markdown(elem_id="taught")

    def teach(
        model: Recognizer | None, label: str, examples: str, files: Sequence[str] | None, scored_labels: str
    ) -> tuple[Recognizer, str, str]:
        new = taught(model or recognizer, label, examples, files)
        label = label.strip()
        return new, with_label(scored_labels, label), f"**{label}** is taught. Score an item to see it."

    button.click(_with_errors(teach), [own, name, texts, sounds, labels], [own, labels, message])
    forget.click(lambda: (None, "Everything that was taught is forgotten."), None, [own, message])


def _with_errors(task: Callable[..., Any]) -> Callable[..., Any]:
    """A task whose errors are shown on the page."""

    def run(*values: Any) -> Any:
        try:
            return task(*values)
        except EmoembedError as error:
            raise gr.Error(re.sub(UPLOADED, "", str(error)), duration=None, print_exception=False) from error

    return run


def launch(page: gr.Blocks, host: str, port: int, *, browser: bool, quiet: bool, wait: bool = True) -> None:
    """Show a page at an address until the process is stopped. Nothing is fetched from the network for it.

    Raises:
        InputError: the port is taken.
    """
    fonts = ["system-ui", "sans-serif"]
    try:
        page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            quiet=quiet,
            share=False,
            prevent_thread_lock=not wait,
            max_file_size="500mb",
            footer_links=[],
            ssr_mode=False,
            theme=gr.themes.Default(font=fonts, font_mono=["monospace"]),
        )
    except OSError as error:
        raise InputError(f"port {port} at {host} cannot be used; choose another with --port ({error})") from error
