"""The page in a browser: what a visitor fills in and clicks, and what is there then."""

from __future__ import annotations

import re
import shlex
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from idol.app.shelf import Shelf
from idol.app.work import Job
from idol.config.app import AppConfig
from idol.generate.cli import main
from idol.model_info import read_info
from idol.pretrained import PRETRAINED
from tests.browser import Browse, serious_faults, until

pytest.importorskip("gradio", reason="gradio is not installed: make install-app")
FITS = "document.documentElement.scrollWidth <= innerWidth"
STILL = "document.getAnimations().every((one) => one.playState != 'running')"


def fill(page: Any, setting: str, value: str) -> None:
    """A setting's label is followed by what is said of it."""
    page.get_by_label(re.compile(rf"^\s*{setting}\b")).fill(value)


def opened(browse: Browse, address: str, **window: Any) -> Any:
    """The page, with settings that are soon done."""
    page = browse(**window)
    page.goto(address)
    until(page, "document.querySelectorAll('img.small').length == 2")
    fill(page, "Steps", "2")
    fill(page, "Frames", "8")
    return page


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1600])
def test_a_preview_fits_the_window(browse: Browse, address: str, out: Path, width: int) -> None:
    page = opened(browse, address, width=width, dark=width == 390)
    until(page, FITS)
    page.click("#preview")
    until(page, "document.querySelector('#sheet img')?.naturalWidth > 900", 120)
    until(page, "document.querySelector('#stage').innerText == 'Done'")
    until(page, lambda: page.is_enabled("#generate"))
    until(page, FITS)
    assert serious_faults(page) == []
    assert list(out.glob("*")) == []


def test_a_mistake_is_told_and_leaves_nothing(browse: Browse, address: str, out: Path) -> None:
    page = opened(browse, address)
    fill(page, "Frames", "3")
    page.click("#generate")
    until(
        page, "document.querySelector('#stage [role=alert]')?.innerText.includes('3 frames')", 120
    )
    until(page, lambda: page.is_enabled("#generate"))
    assert list(out.glob("*")) == []


def test_of_two_clicks_soon_after_each_other_the_last_counts(tmp_path: Path) -> None:
    """The first one's work is stopped, and says nothing more of buttons and stage."""
    import gradio as gr

    from idol.app.page import Page

    page = Page(AppConfig(out=tmp_path), read_info(PRETRAINED), "model", Shelf())
    visitor: Any = SimpleNamespace(session_hash="visitor")
    ended = threading.Event()

    def endless(job: Job[bytes]) -> bytes:
        try:
            with job.stage("denoising") as advance:
                while True:
                    advance(1, 2)
        finally:
            ended.set()

    first = page._watched(visitor, Job(endless))
    preview, _, cancel, *_ = next(first)
    assert (preview["interactive"], cancel["interactive"]) == (False, True)
    preview, _, cancel, *_, made = list(page._watched(visitor, Job(lambda _: b"picture")))[-1]
    assert (preview["interactive"], cancel["interactive"]) == (True, False)
    assert made == b"picture"
    assert ended.wait(60)
    for *shown, nothing in first:
        assert nothing is None
        assert all(each == gr.update() for each in shown)
    assert page._jobs == {}


@pytest.mark.slow
def test_a_video_is_cancelled_then_made_and_turned(browse: Browse, address: str, out: Path) -> None:
    page = opened(browse, address, permissions=["clipboard-read", "clipboard-write"])
    fill(page, "Steps", "200")
    page.focus("#generate")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#stage').innerText == 'Denoising'", 120)
    until(page, "document.querySelector('#bar progress').value > 1")
    assert page.evaluate("document.querySelector('#bar progress').max") == 200
    until(page, lambda: page.is_disabled("#generate"))
    page.click("#cancel")
    until(page, "document.querySelector('#stage').innerText.startsWith('Cancelled')")
    assert list(out.glob("*")) == []

    fill(page, "Steps", "2")
    page.click("#generate")
    until(page, "document.querySelectorAll('#made video').length == 2", 120)
    until(page, "[...document.querySelectorAll('#made video')].every(v => v.videoWidth > 0)")
    until(page, FITS)
    until(page, lambda: "--steps 2 --frames 8" in page.input_value("#command textarea"))
    assert (out / "0001" / "video.mp4").is_file()

    relief = page.frame_locator("#made iframe")
    relief.locator("#stage:not([aria-busy])").wait_for()
    relief.locator("#play").click()
    until(page, lambda: relief.locator("#play").inner_text() == "Play")  # it stands still
    before = relief.locator("#stage").screenshot()
    relief.locator("#yaw").fill("30")
    until(page, lambda: relief.locator("#stage").screenshot() != before)

    page.locator("#command button").click()
    command = page.input_value("#command textarea")
    until(page, lambda: page.evaluate("navigator.clipboard.readText()") == command)
    program, *given = shlex.split(command)
    assert (program, main(given)) == ("idol-generate", 0)
    again = Path(given[given.index("--out") + 1])
    for name in ("video.mp4", "depth.mp4", "side_by_side.mp4", "sheet.png", "report.json"):
        assert (again / name).read_bytes() == (out / "0001" / name).read_bytes(), name
    shutil.rmtree(again)

    for width in (390, 1600):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 1000})
            page.emulate_media(color_scheme=scheme)
            until(page, FITS)
            until(page, STILL)  # else a link has the colour of the scheme before
            assert serious_faults(page) == [], (width, scheme)
