"""Datasets of every kind, served, and visited in a browser: no request leaves the loopback, which
`tests/browser.py` holds every page to."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from shards.inspect.gallery.serve import Server
from shards.manifest import Quarantined
from shards.reader import open_dataset, read_sample
from shards.sample.clip import Clip
from shards.sample.keys import make_key
from tests.browser import Browse, serious_faults, tab, until
from tests.s3 import bucket, s3_server  # noqa: F401
from tests.shards.inspect.test_gallery import SCRIPT, hostile
from tests.shards.inspect.test_gallery import build as built
from tests.shards.inspect.test_serve import DRAWN, serving

SETTINGS = [(390, False), (390, True), (1600, False), (1600, True)]
# What files may be called.
VIDEOS = (
    SCRIPT,
    "a \"quoted\" & 'quoted' one",
    "../../etc/passwd",
    "舞踊 é 🕺",
    "long-" * 80,
)


def opened(shown: Any) -> None:
    """Waits until a clip is open and all of it is drawn."""
    until(shown, "document.querySelectorAll('.panel').length > 0")
    until(shown, "!document.querySelector('.panel[aria-busy]')")


def hold(shown: Any, requests: str) -> list[Any]:
    """Requests of a page that are like this get no answer: they are listed as they come."""
    held: list[Any] = []
    shown.route(requests, lambda route: held.append(route))
    return held


def let_go(shown: Any, held: list[Any]) -> None:
    """The one that is held, once it has come."""
    until(shown, lambda: len(held) == 1)
    held[0].continue_()


@pytest.fixture
def in_bucket(
    build: Callable[[str], None],
    bucket: str,  # noqa: F811
) -> Any:
    build(f"{bucket}/data")
    yield from serving(f"{bucket}/data")


def test_a_bucket_is_visited(in_bucket: Server, browse: Browse) -> None:
    """Clips on a server that speaks S3: thumbnails, an opened clip, downloads, what failed."""
    shown = browse()
    shown.goto(in_bucket.url)
    until(shown, "document.querySelectorAll('.tile').length == 4")
    until(shown, DRAWN)
    shown.locator(".tile").nth(2).click()
    opened(shown)
    assert shown.locator(".panel").count() == 9
    assert shown.locator(".fault").count() == 0
    until(shown, "document.querySelector('dialog').textContent.includes('s3://')")
    members = read_sample(in_bucket.site.entries[2])
    with shown.expect_download() as download:
        shown.get_by_role("link", name="Sample").click()
    with tarfile.open(download.value.path()) as tar:
        assert [(m.name, tar.extractfile(m).read()) for m in tar] == members
    shown.get_by_text(f"{len(members)} files").click()
    name, data = members[-1]
    with shown.expect_download() as download:
        shown.get_by_role("link", name=name).click()
    assert Path(download.value.path()).read_bytes() == data
    shown.keyboard.press("Escape")
    shown.get_by_role("tab", name="Quarantined (1)").click()
    until(shown, "document.getElementById('panel-quarantined').textContent.includes('no person')")


@pytest.fixture
def badly_named(tmp_path: Path, make_clip: Callable[..., Clip]) -> Any:
    clips = []
    for n, video in enumerate(VIDEOS):
        clip = make_clip(make_key("videos", "walk", 16 * n), seed=n)
        key = make_key("videos", video, 16 * n)
        clips.append(replace(clip, key=key, info={**clip.info, "video": video}))
    failed = [Quarantined(make_key("videos", SCRIPT, 999), SCRIPT, f"{SCRIPT} is no video")]
    root = tmp_path / "a <b>'\"é"
    built(root, clips, failed)
    yield from serving(root)


def test_names_stay_names(badly_named: Server, browse: Browse) -> None:
    shown = browse()
    for entry, video in zip(badly_named.site.entries, VIDEOS, strict=True):
        shown.goto(f"{badly_named.url}#clip={quote(entry.key)}")
        until(shown, lambda key=entry.key: shown.locator("dialog h2").inner_text() == key)
        until(shown, lambda video=video: video in shown.locator("dialog .side").inner_text())
        opened(shown)
        with shown.expect_download() as download:
            shown.get_by_role("link", name="Sample").click()
        assert download.value.suggested_filename == f"{entry.key}.tar"
        with tarfile.open(download.value.path()) as tar:
            assert tar.getnames() == [name for name, _ in read_sample(entry)]
    assert serious_faults(shown) == []
    shown.keyboard.press("Escape")
    shown.get_by_role("searchbox").fill("舞踊")
    until(shown, "document.querySelectorAll('.tile').length == 1")
    assert shown.title() == "a <b>'\"é: clips"
    assert shown.locator("script").count() == 2  # what the server says, and the page's own
    assert shown.locator("b").count() == 0
    shown.get_by_role("tab", name="Quarantined").click()
    until(shown, lambda: f"{SCRIPT} is no video" in shown.get_by_role("tabpanel").inner_text())


@pytest.fixture
def of_a_stranger(tmp_path: Path, make_clip: Callable[..., Clip]) -> Any:
    hostile(tmp_path / "d", make_clip())
    yield from serving(tmp_path / "d")


def test_a_key_that_is_markup_is_a_word(of_a_stranger: Server, browse: Browse) -> None:
    shown = browse()
    shown.goto(of_a_stranger.url)
    until(shown, DRAWN)
    shown.locator(".tile").click()
    until(shown, lambda: shown.locator("dialog h2").inner_text() == SCRIPT)
    opened(shown)
    with shown.expect_download() as download:
        shown.get_by_role("link", name="Sample").click()
    # Nothing in it is a path.
    assert not {"/", "\\", "<", ">"} & set(download.value.suggested_filename)
    assert shown.title() == "d: clips"


@pytest.fixture
def empty(tmp_path: Path) -> Any:
    built(tmp_path / "nothing", [])
    yield from serving(tmp_path / "nothing")


def test_an_empty_dataset_says_so(empty: Server, browse: Browse) -> None:
    shown = browse(width=390)
    shown.goto(empty.url)
    until(shown, "document.querySelector('.nothing').textContent.includes('holds no clips')")
    assert "0 clips" in shown.locator("#status").inner_text()
    assert not shown.locator(".filters").is_visible()
    assert serious_faults(shown) == []
    shown.get_by_role("tab", name="Quarantined (0)").click()
    until(shown, "document.getElementById('panel-quarantined').textContent.includes('No clip')")


@pytest.fixture
def single(tmp_path: Path, make_clip: Callable[..., Clip]) -> Any:
    built(tmp_path / "one", [make_clip()])
    yield from serving(tmp_path / "one")


def test_one_clip_is_one_clip(single: Server, browse: Browse) -> None:
    shown = browse()
    shown.goto(single.url)
    until(shown, DRAWN)
    until(shown, "document.getElementById('status').textContent == '1 clip'")
    # There is nothing to filter, and no neighbour.
    assert not shown.locator(".filters").is_visible()
    shown.locator(".tile").click()
    opened(shown)
    shown.keyboard.press("ArrowRight")
    until(shown, "document.getElementById('announcements').textContent.includes('last clip')")
    shown.keyboard.press("Escape")
    shown.get_by_role("searchbox").fill("nobody")
    shown.get_by_role("button", name="Show all clips").click()
    until(shown, "document.querySelectorAll('.tile').length == 1")


@pytest.fixture
def damaged(dataset: Path) -> Any:
    """Of two shards one has no manifest that can be read, the other a torn tar."""
    (dataset / "train/shard-00000.json").write_bytes(b'{"schema": 3, "sampl')
    tar = dataset / "train/shard-00001.tar"
    first = open_dataset(dataset).find("videos-walk-48").sample.offset
    data = tar.read_bytes()
    tar.write_bytes(data[:first] + bytes(len(data) - first))
    yield from serving(dataset)


def test_a_damaged_shard_is_told_and_the_rest_is_shown(damaged: Server, browse: Browse) -> None:
    shown = browse(said=("422",))
    shown.goto(damaged.url)
    until(shown, "document.getElementById('status').textContent == '2 clips'")
    until(shown, "document.querySelectorAll('.tile-say:not(:empty)').length == 1")
    shown.locator(".tile").first.click()
    opened(shown)
    shown.keyboard.press("ArrowRight")
    until(shown, "document.querySelector('dialog .fault').textContent.includes('videos-walk-48')")
    assert shown.locator(".panel").count() == 0
    assert serious_faults(shown) == []
    shown.keyboard.press("Escape")
    shown.get_by_text("1 shard cannot be used").get_by_role("button", name="why").press("Enter")
    until(shown, "document.activeElement.id == 'tab-about'")
    assert "shard-00000" in shown.get_by_role("tabpanel").inner_text()


@pytest.fixture
def served(dataset: Path) -> Any:
    yield from serving(dataset)


def test_everything_is_reached_by_keys_alone(served: Server, browse: Browse) -> None:
    shown = browse()
    shown.goto(served.url)
    until(shown, DRAWN)
    focused = "document.activeElement"

    def tab_to(found: str, most: int = 40) -> None:
        for _ in range(most):
            tab(shown)
            if shown.evaluate(found):
                return
        raise AssertionError(f"the tab key does not reach {found}")

    tab(shown)
    assert shown.evaluate(f"{focused}.textContent") == "Skip to the clips"
    shown.keyboard.press("Enter")
    until(shown, f"{focused}.title == 'videos-walk-0'")
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("Enter")
    opened(shown)
    until(shown, f"{focused}.id == 'clip-title'")
    tab_to(f"{focused}.type == 'range'")
    shown.keyboard.press("End")
    until(shown, "location.hash.includes('t=2')")
    tab_to(f"{focused}.textContent.includes('Sample')")
    with shown.expect_download():
        shown.keyboard.press("Enter")
    shown.keyboard.press("Escape")
    until(shown, f"{focused}.title == 'videos-walk-16'")
    # Back to the tabs, where arrows choose.
    for _ in range(40):
        tab(shown, "Shift+Tab")
        if shown.evaluate(f"{focused}.id == 'tab-clips'"):
            break
    shown.keyboard.press("ArrowRight")
    until(shown, f"{focused}.id == 'tab-quarantined'")
    until(shown, "document.querySelectorAll('#panel-quarantined .reason').length == 1")
    tab_to(f"{focused}.className == 'reason'")
    shown.keyboard.press("Enter")
    until(shown, f"{focused}.className == 'reason' && {focused}.ariaPressed == 'true'")


def test_a_closed_clip_does_not_take_the_focus_from_who_moved_on(
    served: Server, browse: Browse
) -> None:
    shown = browse()
    shown.goto(served.url)
    until(shown, DRAWN)
    shown.locator("button.tile").first.press("Enter")
    opened(shown)
    # The dialog tells that it was closed later than it gives the focus back.
    at_once = """(act) => {
        const dialog = document.querySelector("dialog.clip");
        window.told = false;
        dialog.addEventListener("close", () => setTimeout(() => { window.told = true; }),
          { once: true });
        if (act === "search") dialog.close();
        else dialog.querySelector("[aria-label=Close]").click();
        if (act === "search") document.querySelector("input[type=search]").focus();
        else if (act === "tile") document.querySelectorAll("button.tile")[2].click();
        else document.activeElement.dispatchEvent(
          new KeyboardEvent("keydown", { key: act, bubbles: true }));
    }"""
    shown.evaluate(at_once, "search")
    until(shown, "window.told")
    assert shown.evaluate("document.activeElement.type") == "search"
    # Nor from who has gone to another clip, or opened one.
    shown.locator("button.tile").first.press("Enter")
    opened(shown)
    shown.evaluate(at_once, "ArrowRight")
    until(shown, "window.told")
    assert shown.evaluate("document.activeElement.title") == "videos-walk-16"
    shown.locator("button.tile").first.press("Enter")
    opened(shown)
    shown.evaluate(at_once, "tile")
    until(shown, "window.told")
    assert "clip=videos-walk-32" in shown.evaluate("location.hash")
    until(shown, "document.querySelector('dialog .side').textContent.includes('videos-walk-32')")
    shown.keyboard.press("Escape")
    until(shown, "document.activeElement.title == 'videos-walk-32'")


def test_a_clip_on_its_way_is_not_played_and_leaves_the_focus(
    served: Server, browse: Browse
) -> None:
    shown = browse()
    held = hold(shown, "**/clip?*")
    shown.goto(served.url)
    until(shown, DRAWN)
    shown.locator("button.tile").first.press("Enter")
    for key in (".", ",", " "):
        shown.keyboard.press(key)
    shown.get_by_role("button", name="Next clip").press("Enter")
    until(shown, lambda: len(held) == 2)
    for route in reversed(held):  # the first comes last, when nobody waits for it
        with shown.expect_response(route.request.url) as answer:
            route.continue_()
        answer.value.finished()
        opened(shown)
    assert "videos-walk-16" in shown.locator("dialog .side").inner_text()
    assert shown.evaluate("document.activeElement.ariaLabel") == "Next clip"


def test_an_address_may_name_a_clip_that_is_not_known_yet(
    served: Server, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shards.inspect.gallery.serve._FIRST", 2)
    shown = browse()
    held = hold(shown, "**/facts?from=2*")
    shown.goto(served.url)
    until(shown, "document.querySelectorAll('.tile').length == 2")
    shown.evaluate("location.hash = '#clip=videos-walk-48'")
    let_go(shown, held)
    opened(shown)
    assert shown.locator("dialog h2").inner_text() == "videos-walk-48"


def test_what_somebody_is_at_stays_while_clips_come_and_move(
    served: Server, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shards.inspect.gallery.serve._FIRST", 2)
    shown = browse()
    held = hold(shown, "**/facts?from=2*")
    shown.goto(f"{served.url}#q=nobody&r.keypoint_score=..0.1")
    until(shown, "window.at = document.querySelectorAll('.nothing button, .chip button'), at[1]")
    let_go(shown, held)
    until(shown, "document.getElementById('status').textContent == '0 of 4 clips'")
    assert shown.evaluate("[...at].every((one) => one.isConnected)")

    shown.get_by_role("button", name="Show all clips").click()
    until(shown, "document.activeElement.title == 'videos-walk-0'")
    shown.keyboard.press("ArrowRight")
    until(shown, "document.activeElement.title == 'videos-walk-16'")
    shown.evaluate("location.hash = '#sort=-key'")
    until(shown, "document.activeElement.title == 'videos-walk-32'")  # the second from the end
    before = shown.evaluate("document.activeElement.offsetWidth")
    shown.set_viewport_size({"width": 700, "height": 900})
    until(shown, f"document.querySelector('.tile').offsetWidth != {before}")
    until(shown, "document.activeElement.title == 'videos-walk-32'")


@pytest.fixture
def two_failed(tmp_path: Path) -> Any:
    failed = [Quarantined(f"videos-x-{n}", "x", f"{n} people") for n in (2, 3)]
    built(tmp_path / "failed", [], failed)
    yield from serving(tmp_path / "failed")


def test_a_reason_keeps_the_focus_while_more_clips_that_failed_come(
    two_failed: Server, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shards.inspect.gallery.serve._PAGE", 1)
    shown = browse()
    held = hold(shown, "**/quarantined?from=1*")
    shown.goto(f"{two_failed.url}#tab=quarantined")
    shown.get_by_role("button", name="N people").focus()
    let_go(shown, held)
    until(shown, "document.querySelectorAll('.list tbody tr').length == 2")
    assert shown.evaluate("document.activeElement.textContent") == "N people"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), SETTINGS)
def test_axe_finds_nothing_serious_anywhere(
    served: Server, browse: Browse, width: int, dark: bool
) -> None:
    shown = browse(width=width, dark=dark)
    for part, there in (
        ("", DRAWN),
        ("#tab=quarantined", "document.querySelector('#panel-quarantined td')"),
        ("#tab=about", "document.querySelector('#panel-about td')"),
        ("#q=nobody", "!document.querySelector('.nothing').hidden"),
        ("#r.keypoint_score=..0.7", "document.querySelector('.chip button')"),
        ("#clip=videos-walk-16&t=1", "document.querySelectorAll('.panel').length == 9"),
    ):
        shown.goto(f"{served.url}{part}")
        shown.reload()
        until(shown, there)
        until(shown, "!document.querySelector('.panel[aria-busy]')")
        assert serious_faults(shown) == [], part
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, part
