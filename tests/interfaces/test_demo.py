"""The demonstration page, tried in a real browser."""

import shutil
import socket
from pathlib import Path

import pytest
import soundfile

pytest.importorskip("gradio", reason="the page needs the extra demo")

from gradio.route_utils import delete_files_created_by_app

import emoembed
from emoembed.errors import InputError
from emoembed.features.media_files import Tracks
from emoembed.interfaces.demo import page as demo

RATE = 16_000
pytestmark = [  # gradio leaves event loops and sockets open when it makes a page
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def recognizer():
    return emoembed.load("base")


def test_names_are_read_from_lines_and_commas():
    assert demo.names_of("joy, awe\n\nrelief,joy") == ["joy", "awe", "relief"]


def test_a_form_with_nothing_in_it_is_refused(recognizer):
    with pytest.raises(InputError, match="nothing was given"):
        demo.answer(recognizer, "  ", None, None, None, "joy")


@pytest.mark.parametrize("has_sound", [True, False])
def test_a_film_is_seen_and_heard(recognizer, monkeypatch, has_sound):
    arguments = {}
    monkeypatch.setattr(demo, "tracks_of", lambda _: Tracks(has_sound, True, 2.0))
    monkeypatch.setattr(type(recognizer), "predict", lambda _, **named: arguments.update(named))
    demo.answer(recognizer, "", None, None, "film.mp4", "joy")
    assert arguments == {**({"audio": "film.mp4"} if has_sound else {}), "video": "film.mp4", "labels": ["joy"]}


def test_a_taught_emotion_belongs_to_one_visitor(recognizer):
    text = "The photographs smell of my grandmother's house."
    before = recognizer.predict(text, labels=["joy", "saudade"]).scores
    mine = demo.taught(recognizer, "saudade", f"{text}\nWe sang the songs of our village again.", None)
    assert mine.predict(text, labels=["joy", "saudade"]).scores["saudade"] > before["saudade"]
    assert recognizer.predict(text, labels=["joy", "saudade"]).scores == before
    with pytest.raises(InputError, match="at least one example"):
        demo.taught(recognizer, "saudade", " \n", None)


def test_a_recording_that_cannot_be_scored_says_why(recognizer, tmp_path):
    soundfile.write(tmp_path / "silence.wav", [0.0] * 4 * RATE, RATE)
    with pytest.raises(InputError, match=r"no part of the recording could be scored; audio: .*silence"):
        demo.over_time(recognizer, str(tmp_path / "silence.wav"), "joy, anger", 4.0)


def test_the_tables_of_two_visitors_with_one_recording_are_two_files(recognizer, voice, tmp_path):
    soundfile.write(tmp_path / "talk.wav", voice(4.0), RATE)
    paths = {demo.over_time(recognizer, str(tmp_path / "talk.wav"), "joy, anger", 4.0)[2] for _ in range(2)}
    assert len(paths) == 2


@pytest.mark.parametrize(
    ("asked", "label", "expected"),
    [("joy, awe", "Joy", "joy, awe"), ("joy", "saudade", "joy, saudade"), ("", "awe", "")],
)
def test_a_taught_name_is_added_once_and_only_to_a_list(asked, label, expected):
    assert demo.with_label(asked, label) == expected


@pytest.fixture(scope="module")
def page(recognizer):
    made = demo.create_page(recognizer)
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(page):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    demo.launch(page, "127.0.0.1", port, browser=False, quiet=True, wait=False)
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with sync_api.sync_playwright() as engines:
        chromium = engines.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, address):
    visitor = browser.new_page()
    visitor.goto(address)
    yield visitor
    visitor.close()


def test_a_visitor_scores_a_text_and_a_sound_file(visit, voice, tmp_path):
    soundfile.write(tmp_path / "voice.wav", voice(2.0), RATE)
    visit.locator("#labels textarea").fill("relief, boredom")
    visit.locator("#text textarea").fill("The scan was clear, I could breathe again.")
    visit.locator("#sound input[type=file]").set_input_files(tmp_path / "voice.wav")
    visit.locator("#sound .waveform-container, #sound audio, #sound canvas").first.wait_for(state="attached")
    visit.locator("#score").click()
    visit.locator("#chart-2").wait_for(timeout=30_000)
    assert "relief" in visit.locator("#chart-1").inner_text()
    assert "Voice alone (weight" in visit.locator("#chart-2").inner_text()
    assert "relief" in visit.locator("#answer").inner_text()


def test_a_broken_file_is_named_without_the_folders_of_the_server(visit, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"not a sound" * 99)
    visit.get_by_role("tab", name="A long recording").click()
    visit.locator("#recording input[type=file]").set_input_files(tmp_path / "broken.wav")
    visit.locator("#recording .file-preview").wait_for()
    visit.locator("#show").click()
    message = visit.locator(".toast-body").first.inner_text()
    assert "broken.wav" in message
    assert "/" not in message.split("broken.wav")[0]


def test_a_mistake_is_said_on_the_page(visit):
    visit.locator("#score").click()
    assert "nothing was given" in visit.locator(".toast-body").first.inner_text()


def test_a_visitor_sees_the_timeline_of_a_recording(visit, voice, tmp_path):
    soundfile.write(tmp_path / "long.wav", voice(9.0), RATE)
    visit.get_by_role("tab", name="A long recording").click()
    visit.locator("#recording input[type=file]").set_input_files(tmp_path / "long.wav")
    visit.locator("#recording .file-preview").wait_for()
    visit.locator("#show").click()
    visit.locator("#timeline img").wait_for(timeout=30_000)
    assert "confidence" in visit.locator("#runs").inner_text().lower()


def test_a_visitor_teaches_an_emotion(visit):
    visit.get_by_role("tab", name="Teach an emotion").click()
    visit.locator("#name textarea, #name input").first.fill("saudade")
    visit.locator("#examples textarea").fill("I miss the sea.\nThe old songs bring them all back.")
    visit.locator("#teach").click()
    visit.get_by_text("is taught").wait_for(timeout=30_000)
    assert visit.locator("#labels textarea").input_value().endswith(", saudade")


def test_the_table_of_a_timeline_is_deleted_with_the_uploads(page, address, voice, tmp_path):
    soundfile.write(tmp_path / "talk.wav", voice(4.0), RATE)
    (show,) = [block.fn for block in page.fns.values() if len(block.outputs) == 3 and len(block.inputs) == 4]
    path = show(None, str(tmp_path / "talk.wav"), "joy, anger", 4.0)[2]
    delete_files_created_by_app(page, None)
    assert not Path(path).exists()
    assert (tmp_path / "talk.wav").exists()  # it was not uploaded
