"""The page on disk: what is chosen for it, how it is used, what cannot get out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.dataset import open_for_build
from shards.inspect.cli import main
from shards.inspect.gallery.file import gallery
from shards.inspect.gallery.look import _fps, _text, look
from shards.inspect.gallery.strip import JPEG, spread, strip
from shards.manifest import Quarantined
from shards.reader import Dataset, open_dataset
from shards.sample import drawing
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.sample.encodings import COLOUR
from shards.sample.images import decode_image
from shards.sample.modalities import MODALITIES, Modality, Trace
from shards.writer import commit_shard
from tests.browser import Browse, serious_faults, until

SCRIPT = "<script>document.title='taken'</script>"
HOSTILE = f'"><img src=x onerror="document.title=1">{SCRIPT}'


def build(root: Path, clips: list[Clip], failed: list[Quarantined] | None = None) -> Dataset:
    opened = open_for_build(root, {"size": 32})
    samples = [(clip.key, encode_clip(clip)) for clip in clips]
    commit_shard(root, "train", 0, samples, failed or [], fingerprint=opened.info.fingerprint)
    opened.finish({"train": 1})
    return open_dataset(root)


def hostile(root: Path, clip: Clip) -> Dataset:
    """A dataset whose texts, and in its manifest even a key, would like to be markup."""
    said = {
        "video": HOSTILE,
        "annotators": {HOSTILE: {"name": HOSTILE, "version": SCRIPT, "weights": {SCRIPT: HOSTILE}}},
        "depth": {"depth_person": {"label": HOSTILE, "near": 0, "far": 1, "far_at": "x"}},
        "crop": {"mode": SCRIPT},
    }
    other = replace(clip, info={**clip.info, **said})
    build(root, [other], [Quarantined("videos-x-1", HOSTILE, f"{SCRIPT} 3 {HOSTILE}")])
    path = root / "train/shard-00000.json"
    manifest = json.loads(path.read_text())
    manifest["samples"][0]["key"] = SCRIPT
    manifest["samples"][0]["subject"] = HOSTILE
    path.write_text(json.dumps(manifest))
    return open_dataset(root)


@pytest.fixture
def page(dataset: Path, tmp_path: Path) -> Path:
    out = tmp_path / "page.html"
    assert main(["gallery", str(dataset), "--output", str(out)]) == 0
    return out


def test_it_is_used_as_a_visitor_would(browse: Browse, page: Path) -> None:
    # The test itself reads pixels back.
    shown = browse(width=1600, said=("willReadFrequently",))
    shown.goto(page.as_uri())
    tiles = shown.locator(".tile")
    until(shown, lambda: tiles.count() == 4)
    assert serious_faults(shown) == []
    tiles.first.hover()  # plays
    shown.wait_for_selector(".tile.playing")
    tiles.nth(1).click()
    dialog = shown.get_by_role("dialog")
    until(shown, "document.querySelector('dialog h2').textContent == 'videos-walk-16'")
    titles = [MODALITIES[n].title for n in ("rgb", "mask", "pose", "depth_person", "depth_frame")]
    for title in [*titles, MODALITIES["reference"].title, MODALITIES["background"].title]:
        dialog.get_by_role("img", name=title, exact=True).wait_for()
    assert dialog.locator(".trace").count() == 4  # mask, key points, both depths
    assert "lite 1" in dialog.inner_text()
    assert serious_faults(shown) == []
    # The scrubber moves the pictures.
    frame = "document.querySelector('.panel canvas').toDataURL()"
    until(
        shown,
        "document.querySelector('.panel canvas').getContext('2d')"
        ".getImageData(8, 8, 1, 1).data[3] == 255",
    )
    before = shown.evaluate(frame)
    shown.get_by_role("slider").press("ArrowRight")
    until(shown, lambda: shown.evaluate(frame) != before)
    until(shown, "location.hash.includes('t=1')")
    shown.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    until(shown, "document.activeElement.title == 'videos-walk-16'")
    # Arrows move, Enter opens, arrows go on within.
    shown.keyboard.press("ArrowRight")
    until(shown, "document.activeElement.title == 'videos-walk-32'")
    shown.keyboard.press("Enter")
    until(shown, "document.querySelector('dialog h2').textContent == 'videos-walk-32'")
    shown.keyboard.press("ArrowRight")
    until(shown, "location.hash.includes('videos-walk-48')")
    with shown.expect_download() as download:
        dialog.get_by_role("button", name="videos-walk-48.json").click()
    told = json.loads(Path(download.value.path()).read_text())
    assert told["key"] == "videos-walk-48"
    shown.keyboard.press("Escape")
    # A search, and what failed.
    shown.get_by_role("searchbox").fill("walk-3")
    until(shown, "document.querySelectorAll('.tile').length == 1")
    until(shown, "location.hash.includes('q=walk-3')")
    shown.get_by_role("tab", name="Quarantined (1)").click()
    panel = shown.get_by_role("tabpanel")
    until(shown, lambda: "videos-walk-96" in panel.inner_text())
    assert "no person" in panel.inner_text()
    assert serious_faults(shown) == []


def test_a_link_leads_to_a_clip_and_back(browse: Browse, page: Path) -> None:
    shown = browse(width=390, dark=True)
    shown.goto(f"{page.as_uri()}#clip=videos-walk-32&t=2&sort=-keypoint_score")
    dialog = shown.get_by_role("dialog")
    until(shown, "document.querySelector('dialog h2').textContent == 'videos-walk-32'")
    until(shown, lambda: dialog.get_by_role("slider").input_value() == "2")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious_faults(shown) == []
    shown.evaluate("location.hash = '#q=none'")
    until(shown, "!document.querySelector('dialog').open")
    until(shown, "document.querySelectorAll('.tile').length == 0")
    shown.go_back()
    until(shown, "document.querySelector('dialog').open")


def test_a_tap_plays_and_another_opens(browse: Browse, page: Path) -> None:
    shown = browse(width=390, height=800, touch=True)
    shown.goto(page.as_uri())
    tile = shown.locator(".tile").first
    until(shown, "document.querySelector('.tile canvas').width > 1")
    tile.tap()
    shown.wait_for_selector(".tile.playing")
    assert not shown.get_by_role("dialog").is_visible()
    tile.tap()
    shown.wait_for_selector("dialog[open]")


def test_a_bar_of_a_histogram_keeps_its_tail(
    browse: Browse,
    tmp_path: Path,
    make_clip: Callable[..., Clip],
) -> None:
    clips = []
    for i, score in enumerate((0.1, 0.5, 0.7, 0.9)):
        clip = make_clip(f"videos-walk-{i}", seed=i)
        keypoints = {**clip.info["keypoints"], "mean_score": [score]}
        clips.append(replace(clip, info={**clip.info, "keypoints": keypoints}))
    made = gallery(build(tmp_path / "d", clips), clips=4, limit=10_000_000)
    (tmp_path / "a.html").write_text(made.html)
    shown = browse()
    shown.goto((tmp_path / "a.html").as_uri())
    bars = shown.get_by_role("group", name="Filter by keypoint score").get_by_role("button")
    bars.first.click()
    until(shown, "document.querySelectorAll('.tile').length == 1")
    until(shown, "document.querySelector('.tile').title == 'videos-walk-0'")
    bars.last.click()
    until(shown, "document.querySelector('.tile').title == 'videos-walk-3'")
    bars.last.press("Home")
    label = "document.activeElement.getAttribute('aria-label')"
    until(shown, f"{label}.startsWith('keypoint score at most')")
    shown.get_by_role("button", name="Remove the filter").click()
    until(shown, "document.querySelectorAll('.tile').length == 4")
    shown.get_by_label("Sort by").select_option(label="Worst keypoint score")
    tiles = shown.locator(".tile")
    titles = [f"videos-walk-{i}" for i in range(4)]
    until(shown, lambda: tiles.evaluate_all("all => all.map(one => one.title)") == titles)


def test_hostile_texts_stay_texts(
    browse: Browse,
    tmp_path: Path,
    make_clip: Callable[..., Clip],
) -> None:
    made = gallery(hostile(tmp_path / "d", make_clip()), clips=4, limit=10_000_000)
    assert SCRIPT not in made.html
    (tmp_path / "a.html").write_text(made.html)
    shown = browse()
    shown.goto((tmp_path / "a.html").as_uri())
    assert shown.locator(".tile").get_attribute("title") == SCRIPT
    shown.locator(".tile").click()
    dialog = shown.get_by_role("dialog")
    until(shown, lambda: HOSTILE in dialog.inner_text())
    shown.keyboard.press("Escape")
    shown.get_by_role("tab", name="Quarantined").click()
    until(shown, lambda: HOSTILE in shown.get_by_role("tabpanel").inner_text())
    assert shown.locator("script").count() == 6  # four of data, a clip, and the page's
    assert shown.locator("img").count() == 0
    assert shown.title() == "d: clips"


def test_another_modality_is_drawn_by_its_row(
    tmp_path: Path, make_clip: Callable[..., Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Modality(
        name="heat",
        encoding=COLOUR,
        title="body heat",
        draw=drawing.as_it_is,
        traces=(
            Trace("warmth", lambda info, array: array.mean((1, 2, 3)), lambda info: "degrees"),
        ),
    )
    monkeypatch.setitem(MODALITIES, "heat", row)
    clip = make_clip()
    heat = np.full(clip.rgb.shape, 37, np.uint8)
    dataset = build(tmp_path / "d", [replace(clip, more={"heat": heat})])
    seen = look(dataset, dataset.entries[clip.key], side=64, frames=8, kind=JPEG)
    assert [p["title"] for p in seen.told["panels"] if p["name"] == "heat"] == ["body heat"]
    assert abs(int(decode_image(seen.strips["heat"].data).mean()) - 37) <= 1
    assert {"title": "warmth", "unit": "degrees", "low": [37.0] * 3, "high": None} in seen.told[
        "traces"
    ]


def test_what_is_damaged_is_told_and_the_rest_is_shown(
    tmp_path: Path, make_clip: Callable[..., Clip]
) -> None:
    clip = make_clip()
    members = [
        (name, b"no image" if name.endswith(".mask.001.png") else data)
        for name, data in encode_clip(clip)
    ]
    opened = open_for_build(tmp_path / "d", {})
    commit_shard(opened.store, "train", 0, [(clip.key, members)])
    dataset = open_dataset(tmp_path / "d")
    seen = look(dataset, dataset.entries[clip.key], side=64, frames=8, kind=JPEG)
    assert "mask" not in seen.strips
    assert {"rgb", "depth_person", "background"} <= seen.strips.keys()
    [fault] = seen.told["faults"]
    assert "mask.001.png" in fault


def test_a_rate_beyond_all_numbers_is_a_number_still() -> None:
    assert 0 < _fps({"fps": 1e308, "frame_indices": list(range(24))}, 24, 16) < float("inf")


def test_of_a_table_its_size_is_told() -> None:
    joints = [[125.99, 50.84, 1.0]] * 18
    assert _text({"box": [0, 0, 9, 9], "joints": joints}) == "box 0 0 9 9, joints 18 x 3 values"


def test_curves_are_those_of_the_clip(dataset: Path) -> None:
    opened = open_dataset(dataset)
    entry = opened.find("videos-walk-16")
    clip = opened.read(entry.key)
    traces = {
        t["title"]: t for t in look(opened, entry, side=64, frames=8, kind=JPEG).told["traces"]
    }
    share = (clip.mask > 127).mean((1, 2))
    np.testing.assert_allclose(
        traces["share of the frame that is the person"]["low"], share, atol=1e-5
    )
    frame = traces["range of depth, whole frame"]
    np.testing.assert_allclose(frame["low"], clip.depth_frame.min((1, 2)), atol=1e-5)
    np.testing.assert_allclose(frame["high"], clip.depth_frame.max((1, 2)), atol=1e-5)
    inside = np.where(clip.depth_person < 1, clip.depth_person, 0)
    person = traces["range of depth, person"]
    np.testing.assert_allclose(person["high"], inside.max((1, 2)), atol=1e-5)


def test_half_are_the_worst_and_the_rest_is_counted(
    tmp_path: Path, make_clip: Callable[..., Clip], capsys: Any
) -> None:
    clips = [make_clip(f"videos-walk-{i}", seed=i) for i in range(9)]
    bad = clips[3]
    keypoints = {**bad.info["keypoints"], "mean_score": [0.01]}
    clips[3] = replace(bad, info={**bad.info, "keypoints": keypoints})
    dataset = build(tmp_path / "d", clips)
    report = gallery(dataset, clips=4, limit=10_000_000).report
    assert len(report["chosen"]) == 4
    assert report["chosen"]["videos-walk-3"] == "among the worst by keypoint score"
    assert {"videos-walk-0", "videos-walk-8"} <= report["chosen"].keys()
    assert any(line.startswith("5 of 9 clips") for line in report["left_out"])
    whole = gallery(dataset, clips=9, limit=10_000_000).report["bytes"]
    part = gallery(dataset, clips=9, limit=whole - 30_000).report
    assert part["bytes"] <= whole - 30_000
    assert 0 < part["clips"] < 9
    assert any("asked for do not fit" in line for line in part["left_out"])
    out = tmp_path / "a.html"
    assert main(["gallery", str(tmp_path / "d"), "-o", str(out), "--max-mb", "0.01"]) == 2
    assert "raise --max-mb" in capsys.readouterr().err
    assert not out.exists()
    for argv in (["--clips", "0"], ["--max-mb", "nan"], ["--max-mb", "inf"]):
        assert main(["gallery", str(tmp_path / "d"), "-o", str(out), *argv]) == 2
    assert main(["gallery", str(tmp_path / "d"), "-o", str(tmp_path / "a.png")]) == 2


def test_strips_hold_every_frame_where_the_page_cuts_it() -> None:
    tiles = np.stack([np.full((30, 50, 3), 4 * i, np.uint8) for i in range(60)])
    made = strip(tiles, 1000, JPEG)
    image = decode_image(made.data)
    assert (made.count, made.width, made.height) == (60, 50, 30)
    narrow = strip(np.repeat(tiles, 20, 2), 1000, JPEG)
    assert narrow.columns == 4
    image = decode_image(narrow.data)
    for i in (0, 3, 4, 59):
        y, x = i // 4 * 30, i % 4 * 1000
        assert abs(int(image[y : y + 30, x : x + 1000].mean()) - 4 * i) <= 2
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 8) == [0, 1, 2]
