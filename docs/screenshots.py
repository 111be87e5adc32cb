"""The README's screenshots, taken in Chromium: python -m docs.screenshots demo docs/images

`demo` is what `make demo` builds; pages and videos that are made for the pictures are left in it.
Each page is opened as a visitor does, by the commands of the README, and shown when all of it is
drawn: nothing here is timed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shards.reader import open_dataset
from tests.browser import started, until

BIN = Path(sys.executable).parent
CLIP = "videos-cam01-16"
PEOPLE = "examples/people-128.tar"
MOST = 200_000  # bytes of a picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="the folder that make demo filled")
    parser.add_argument("images", type=Path, help="where the pictures go")
    given = parser.parse_args()
    shards = given.demo / "shards"
    if not (shards / "dataset.json").is_file():
        parser.error(f"there is no dataset in {shards}: make demo builds it")
    with started() as browser:
        for name, page in (
            ("gallery", gallery(browser, given.demo)),
            ("quarantine", quarantined(browser, given.demo)),
            ("clip", opened_clip(browser, shards)),
            ("relief", relief(browser, given.demo)),
            ("app", app(browser, given.demo)),
        ):
            with page as shown:
                save(shown, given.images / f"{name}.jpg")


def run(command: str, *arguments: object) -> None:
    subprocess.run([BIN / command, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def served(command: str, *arguments: object) -> Iterator[str]:
    """The address that a command says it serves at, while it does."""
    line = [str(BIN / command), *map(str, arguments), "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            said = next(
                (word for said in server.stdout for word in said.split() if "://" in word), ""
            )
            if not said.startswith("http"):
                raise SystemExit(f"{command} has ended before it served anything")
            yield said
        finally:
            server.terminate()


@contextmanager
def opened(
    browser: Any, address: str, *, dark: bool = False, size: tuple[int, int] = (1280, 800)
) -> Iterator[Any]:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()


def save(page: Any, path: Path) -> None:
    """What the window shows, as a JPEG that is not large."""
    for quality in range(88, 30, -6):
        data = page.screenshot(type="jpeg", quality=quality)
        if len(data) <= MOST:
            break
    path.write_bytes(data)
    print(f"{path}: {len(data) / 1000:.0f} kB, JPEG quality {quality}", flush=True)


@contextmanager
def gallery(browser: Any, demo: Path) -> Iterator[Any]:
    run("idol-shards", "gallery", demo / "shards", "--output", demo / "clips.html")
    address = (demo / "clips.html").absolute().as_uri()
    with opened(browser, address, size=(1600, 1100)) as page:
        until(page, "document.querySelector('.tile canvas').width > 1")
        until(page, "[...document.querySelectorAll('.tile canvas')].every(c => c.width > 1)")
        yield page


@contextmanager
def quarantined(browser: Any, demo: Path) -> Iterator[Any]:
    address = (demo / "clips.html").absolute().as_uri()
    with opened(browser, f"{address}#tab=quarantined", size=(1280, 460)) as page:
        until(page, "document.querySelectorAll('#panel-quarantined tbody tr').length > 1")
        yield page


@contextmanager
def opened_clip(browser: Any, shards: Path) -> Iterator[Any]:
    key = CLIP if CLIP in open_dataset(shards).entries else next(iter(open_dataset(shards).entries))
    with (
        served("idol-shards", "serve", shards) as address,
        opened(browser, f"{address}#clip={key}&t=9", dark=True, size=(1600, 1000)) as page,
    ):
        until(page, "document.querySelectorAll('.panel:not([aria-busy])').length > 5")
        until(page, "!document.querySelector('.panel[aria-busy]')")
        yield page


@contextmanager
def relief(browser: Any, demo: Path) -> Iterator[Any]:
    out = demo / "relief"
    run("idol-render", f"{demo / 'shards'}::{CLIP}", "--out", out, "--write", "page", "--overwrite")
    with opened(browser, (out / "relief.html").absolute().as_uri(), size=(1280, 960)) as page:
        page.evaluate("relief.ready")
        page.evaluate("relief.picture({ frame: 0, yaw: -14, pitch: -4 })")
        yield page


@contextmanager
def app(browser: Any, demo: Path) -> Iterator[Any]:
    with (
        served("idol-app", "--out", demo / "app") as address,
        opened(browser, address, size=(1440, 1350)) as page,
    ):
        until(page, "document.querySelectorAll('img.small').length == 2")
        page.get_by_label("Keep background").check()
        page.get_by_label("Fill hole").check()
        page.click("#preview")
        until(page, "document.querySelector('#stage').innerText == 'Done'", 600)
        page.click("#generate")
        until(page, "document.querySelectorAll('#made video').length == 2", 600)
        until(page, "[...document.querySelectorAll('#made video')].every(v => v.readyState == 4)")
        # As while they play, when nothing lies before them.
        page.evaluate(
            "document.querySelectorAll('#made video').forEach((film) => {"
            "film.pause(); film.currentTime = 0.5; film.controls = false; })"
        )
        until(page, "[...document.querySelectorAll('#made video')].every(v => !v.seeking)")
        frame = page.frames[1]
        frame.evaluate("relief.ready")
        frame.evaluate("relief.picture({ yaw: 18, pitch: -6 })")
        yield page


if __name__ == "__main__":
    main()
