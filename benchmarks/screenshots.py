"""Pictures of the demonstration page for the documentation, taken in Chromium (Debian: apt install chromium).

python examples/make_demo_media.py --output demo-media
python benchmarks/screenshots.py --media demo-media --output docs/pictures
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Page, sync_playwright

import emoembed
from emoembed.interfaces.demo.page import create_page, launch

PORT = 7869


def main() -> int:
    """Show the page, fill it in, and take a picture of each tab."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True, help="folder with face.mp4 and voice.wav")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    parsed = parser.parse_args()
    program = shutil.which("chromium")
    if program is None:
        print("Chromium is not installed (Debian: apt install chromium)", file=sys.stderr)
        return 2
    launch(create_page(emoembed.load("base")), "127.0.0.1", PORT, browser=False, quiet=True, wait=False)
    parsed.output.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as engines:
        browser = engines.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme="light")
        page.goto(f"http://127.0.0.1:{PORT}")
        picture_of_item(page, parsed.media / "face.mp4", parsed.output / "demo-item.png")
        picture_of_recording(page, long_recording(parsed.media / "voice.wav"), parsed.output / "demo-timeline.png")
        browser.close()
    return 0


def long_recording(voice: Path) -> Path:
    """The voice again and again, sometimes faster or louder, in a temporary file."""
    samples, rate = soundfile.read(voice)
    parts = [samples[::step] * gain for step, gain in [(1, 0.2), (1, 0.5), (2, 1.0), (2, 0.6), (1, 0.3), (1, 1.0)] * 2]
    file = Path(tempfile.mkdtemp()) / "interview.wav"
    soundfile.write(file, np.concatenate(parts), rate)
    return file


def picture_of_item(page: Page, film: Path, file: Path) -> None:
    """A text and a film, with their scores."""
    page.locator("#labels textarea").fill("relief, awe, nostalgia, boredom, anger")
    page.locator("#text textarea").fill("The scan was clear. I could breathe again.")
    page.get_by_text("Face", exact=True).click()
    page.locator("#film input[type=file]").set_input_files(film)
    page.locator("#film video").wait_for()
    page.locator("#score").click()
    page.locator("#chart-3").wait_for(timeout=60_000)
    page.wait_for_timeout(12_000)  # until messages are gone
    page.screenshot(path=file, full_page=True)


def picture_of_recording(page: Page, sound: Path, file: Path) -> None:
    """The timeline of a recording."""
    page.get_by_role("tab", name="A long recording").click()
    page.locator("#recording input[type=file]").set_input_files(sound)
    page.locator("#recording .file-preview").wait_for()
    page.locator("#show").click()
    page.locator("#timeline img").wait_for(timeout=60_000)
    page.wait_for_timeout(12_000)  # until messages are gone
    page.screenshot(path=file, full_page=True)


if __name__ == "__main__":
    sys.exit(main())
