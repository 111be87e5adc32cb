"""`idol-shards serve` on a dataset of many clips, in Chromium: python bench/gallery.py [--clips N]

Makes the dataset (real clips through the real writer, small ones), serves it, and measures what a
visitor waits for and what the server takes:

first content  from the start of navigation until pictures are drawn in the grid
long tasks     what blocks the page for more than 50 ms, while it loads and while it is scrolled
longest task   of the page's own thread, in processor time from Chromium's trace: what it is on a
               machine that has nothing else to do, however busy this one is
memory         of the server, resident: at the start, after each pass over the grid, and after
               opening clips; the second pass must add nothing
every clip     the server is asked for every clip's picture, six at a time, and for every tenth clip
               opened with all its pictures, over and over: what it takes then, after each pass
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from shards.command import run
from shards.dataset import open_for_build
from shards.errors import ShardsError
from shards.manifest import Quarantined
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.writer import commit_shard

PER_SHARD = 100
TASKS = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.tasks.push([one.startTime, one.duration]);
}).observe({ type: "longtask", buffered: true });
"""


def clip_of(number: int, *, frames: int, size: int) -> Clip:
    """A clip of a disc that moves, of colour, speed and scores of its own."""
    rng = np.random.default_rng(number)
    t = np.linspace(0, 1, frames)[:, None, None]
    y, x = np.mgrid[:size, :size] / size
    centre = 0.3 + 0.4 * t * rng.random() + 0.1 * rng.random()
    inside = (x - centre) ** 2 + (y - 0.5) ** 2 < 0.03 + 0.03 * rng.random()
    colours = rng.integers(0, 256, (2, 3))
    rgb = np.where(inside[..., None], *colours).astype(np.uint8)
    mask = (inside * 255).astype(np.uint8)
    depth = np.where(inside, 0.2 + 0.4 * x, 1).astype(np.float32)
    points = rng.random((frames, 1, 18, 3)) * (size, size, 1)
    key = f"many-{number // 8:05d}-{number % 8 * frames}"
    info = {
        "video": f"{number // 8:05d}",
        "split": "train",
        "fps": 10.0,
        "size": [size, size],
        "frame_indices": list(range(frames)),
        "person_frames": [bool(rng.random() < 0.9) for _ in range(frames)],
        "keypoints": {"mean_score": [round(float(rng.random()), 3) for _ in range(frames)]},
        "reference": {"frame": 0, "person": True, "coverage": round(float(inside[0].mean()), 4)},
        "annotators": {"mask": {"name": "drawn", "version": "1"}},
    }
    return Clip(
        key=key,
        rgb=rgb,
        mask=mask,
        pose=np.roll(rgb, 1, -1),
        keypoints=points.astype(np.float32),
        depth_person=depth,
        depth_frame=depth,
        reference=rgb[0],
        reference_mask=mask[0],
        background=rgb[0],
        background_mask=mask[0],
        info=info,
    )


def make(root: Path, clips: int, *, frames: int = 4, size: int = 64) -> None:
    """A dataset of many clips, and one quarantined clip a shard."""
    build = open_for_build(root, {"made by": "bench/gallery.py", "clips": clips})
    shards = -(-clips // PER_SHARD)
    for shard in range(shards):
        numbers = range(shard * PER_SHARD, min((shard + 1) * PER_SHARD, clips))
        made = (clip_of(n, frames=frames, size=size) for n in numbers)
        commit_shard(
            root,
            "train",
            shard,
            ((clip.key, encode_clip(clip)) for clip in made),
            [Quarantined(f"many-x{shard}-0", f"x{shard}", f"{shard} of {frames} frames are black")],
            fingerprint=build.info.fingerprint,
        )
    build.finish({"train": shards})


def resident(pid: int) -> float:
    """Memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def until(page: Page, expression: str) -> None:
    end = time.monotonic() + 120
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def drawn(page: Page) -> None:
    """Waits until every picture in sight is drawn."""
    until(page, "[...document.querySelectorAll('.tile canvas')].every((c) => c.width > 1)")


def scroll(page: Page, steps: int) -> list[float]:
    """From the top to the end by the wheel, then by leaps; the long tasks meanwhile, in ms."""
    page.evaluate("scrollTo(0, 0); window.tasks.length = 0")
    page.mouse.move(600, 700)
    for _ in range(steps):
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(30)
    for part in range(1, 11):
        page.evaluate(f"scrollTo(0, document.documentElement.scrollHeight * {part} / 10)")
        page.wait_for_timeout(200)
    drawn(page)
    return [duration for _, duration in page.evaluate("window.tasks")]


def open_clips(page: Page, count: int) -> list[float]:
    """Opens a clip and goes on by the arrow; the long tasks meanwhile, in ms."""
    page.evaluate("scrollTo(0, 0); window.tasks.length = 0")
    page.wait_for_timeout(300)
    page.locator(".tile").first.click()
    for _ in range(count):
        page.wait_for_selector(".panel canvas")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(30)
    page.keyboard.press("Escape")
    return [duration for _, duration in page.evaluate("window.tasks")]


def ask_for_all(url: str, clips: int, pid: int, passes: int) -> list[float]:
    """Asks for every clip's picture, opens every tenth; MB of the server after each pass."""

    def get(path: str) -> bytes:
        with urlopen(f"{url}{path}", timeout=60) as answer:
            body: bytes = answer.read()
        return body

    def one(n: int) -> None:
        get(f"thumb?n={n}")
        if n % 10 == 0:
            for panel in json.loads(get(f"clip?n={n}"))["panels"]:
                get(f"strip?n={n}&modality={panel['name']}")

    memory = []
    with ThreadPoolExecutor(6) as pool:
        for _ in range(passes):
            for _ in pool.map(one, range(clips)):
                pass
            memory.append(round(resident(pid), 1))
    return memory


@contextmanager
def traced(browser: Browser, page: Page, found: dict[str, Any], what: str) -> Iterator[None]:
    """Finds the longest task of the page's thread meanwhile, in ms of processor time."""
    browser.start_tracing(page=page, categories=["__metadata", "toplevel"])
    yield
    events = json.loads(browser.stop_tracing())["traceEvents"]
    pages = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    times = [
        event["tdur"] / 1000
        for event in events
        if event["name"].endswith("RunTask")
        and "tdur" in event
        and (event["pid"], event["tid"]) in pages
    ]
    found[f"longest task while {what}, ms of processor time"] = round(max(times), 1)


def measure(browser: Browser, root: str, *, steps: int, opened: int, passes: int) -> dict[str, Any]:
    begin = time.monotonic()
    command = [sys.executable, "-m", "shards.inspect.cli", "serve", root, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise ShardsError(f"{root} is not served")  # idol-shards has said why
    url = line.split(" (Ctrl-C")[0].rpartition(" ")[2]
    found: dict[str, Any] = {"server starts, s": round(time.monotonic() - begin, 2)}
    memory = {"at the start": resident(server.pid)}
    try:
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.add_init_script(TASKS)
        with traced(browser, page, found, "loading"):
            page.goto(url)
            until(page, "[...document.querySelectorAll('.tile canvas')].some((c) => c.width > 1)")
            found["first content, s"] = round(page.evaluate("performance.now()") / 1000, 2)
            drawn(page)
            found["all in sight drawn, s"] = round(page.evaluate("performance.now()") / 1000, 2)
            until(page, "!document.getElementById('status').textContent.includes('read')")
            found["all clips known, s"] = round(page.evaluate("performance.now()") / 1000, 2)
        found["clips"] = page.locator("#status").inner_text()
        tasks = [duration for _, duration in page.evaluate("window.tasks")]
        found["long tasks while loading, ms"] = tasks
        for turn in (1, 2):
            found[f"long tasks while scrolling, pass {turn}, ms"] = scroll(page, steps)
            memory[f"after scrolling, pass {turn}"] = resident(server.pid)
            found[f"long tasks while opening clips, pass {turn}, ms"] = open_clips(page, opened)
            memory[f"after opened clips, pass {turn}"] = resident(server.pid)
        with traced(browser, page, found, "scrolling"):
            scroll(page, steps)
        with traced(browser, page, found, "opening clips"):
            open_clips(page, opened)
        found["cells in the page"] = page.locator(".tile").count()
        begin = time.monotonic()
        with traced(browser, page, found, "sorting"):
            page.get_by_label("Sort by").select_option(label="Worst keypoint score")
            drawn(page)
        found["sorted and drawn, s"] = round(time.monotonic() - begin, 2)
        page.close()
        known = int(found["clips"].split()[0].replace(",", ""))
        asked = ask_for_all(url, known, server.pid, passes)
        found["memory of the server after asking for every clip, pass by pass, MB"] = asked
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    found["memory of the server, MB"] = {name: round(value, 1) for name, value in memory.items()}
    return found


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--dataset", help="one that is there already, local or s3://…")
    parser.add_argument("--keep", type=Path, help="make the dataset here, and keep it")
    parser.add_argument("--steps", type=int, default=150, help="turns of the wheel")
    parser.add_argument("--passes", type=int, default=3, help="over all clips, for the memory")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = given.dataset or str(given.keep or Path(folder, "many"))
        if not given.dataset:
            make(Path(root), given.clips)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-dev-shm-usage"],
            )
            found = measure(browser, root, steps=given.steps, opened=100, passes=given.passes)
            print(json.dumps(found, indent=2))
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(run("gallery.py", main, errors=(ShardsError, OSError)))
