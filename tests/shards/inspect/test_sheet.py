from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from shards.inspect.glyphs import _characters, _others, _own_characters, drawable
from shards.inspect.page import Page, fitted
from shards.inspect.sheet import contact_sheet, rows_of_tiles, still_tiles
from shards.sample.clip import Clip
from shards.sample.colormap import depth_to_hot
from shards.sample.images import decode_image


def test_small_images_keep_their_pixels_on_a_tile_and_large_ones_their_mean() -> None:
    checks = np.repeat((np.indices((4, 4)).sum(0) % 2 * 200).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(fitted(checks, 12, 12), np.kron(checks, np.ones((3, 3, 1))))
    np.testing.assert_array_equal(fitted(checks, 2, 2), 100)
    np.testing.assert_array_equal(fitted(checks, 4, 4), checks)


def test_a_row_for_each_modality(make_clip: Callable[..., Clip]) -> None:
    clip = make_clip()
    rows = rows_of_tiles(clip)
    assert list(rows) == ["rgb", "mask", "pose", "depth_person", "depth_frame"]
    assert {tiles.shape for tiles in rows.values()} == {(3, 24, 32, 3)}
    np.testing.assert_array_equal(rows["depth_person"], depth_to_hot(clip.depth_person))
    drawn = clip.pose.max(axis=-1) >= 64
    np.testing.assert_array_equal(rows["pose"][drawn], clip.pose[drawn])


def test_foreground_and_background_are_shown_with_their_masks(
    make_clip: Callable[..., Clip],
) -> None:
    mask = np.zeros((24, 32), np.uint8)
    mask[8:16, 8:24] = 255
    clip = replace(make_clip(), reference_mask=mask, background_mask=mask)
    tiles = still_tiles(clip)
    assert list(tiles) == ["reference", "reference_mask", "background", "background_mask"]
    np.testing.assert_array_equal(tiles["reference"], clip.reference)
    np.testing.assert_array_equal(tiles["background"], clip.background)
    # In colour inside, dim grey outside; a grey hole; and an outline on each mask's edge.
    inside = cv2.erode(mask, np.ones((5, 5), np.uint8)) == 255
    outside = cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
    np.testing.assert_array_equal(tiles["reference_mask"][inside], clip.reference[inside])
    assert (np.ptp(tiles["reference_mask"][outside], axis=-1) == 0).all()
    assert (tiles["background_mask"][inside] == 96).all()
    np.testing.assert_array_equal(tiles["background_mask"][outside], clip.background[outside])
    edge = tiles["background_mask"][8, 10:22].astype(int) - (64, 224, 255)
    assert np.abs(edge).max() < 40
    assert list(still_tiles(replace(clip, reference_mask=None, background_mask=None))) == [
        *("reference", "background"),
    ]
    assert still_tiles(replace(clip, reference=None)).keys() == {"background", "background_mask"}


def test_the_head_says_coverage_shift_and_person(
    make_clip: Callable[..., Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(Page, "text", lambda self, x, y, text, **_: written.append(text))
    clip = make_clip()
    said = {"frame": 7, "person": True, "background_shift": [3.0, 4.0]}
    contact_sheet(replace(clip, info={**clip.info, "reference": said}))
    [head] = [line for line in written if "reference shows the subject" in line]
    assert f"mask covers {(clip.reference_mask == 255).mean():.1%} of the foreground" in head
    assert "background shift 5.0 px" in head
    assert "frame 7" in written
    written.clear()
    said = {"frame": 7, "person": False, "background_shift": None}
    subject = {"rule": "largest", "number": 2, "people": 3, "lost": [4, 5], "match": 0.8}
    contact_sheet(replace(clip, info={**clip.info, "reference": said, "subject": subject}))
    assert "the reference shows nobody" in written
    assert any("subject 2 of 3, largest" in line for line in written)
    assert any("background shift not measured" in line for line in written)


@pytest.mark.parametrize("video", ["walk", "$x_1$ [red]", "舞蹈.mp4"])
def test_a_sheet_is_an_image_whatever_the_names(make_clip: Callable[..., Clip], video: str) -> None:
    clip = make_clip()
    png = contact_sheet(replace(clip, info={**clip.info, "video": video}), source="shard")
    page = decode_image(png)
    assert page.dtype == np.uint8
    assert page.shape[1] > 900
    assert np.ptp(page) > 200


def test_notes_too_long_for_the_page_are_cut_off(make_clip: Callable[..., Clip]) -> None:
    clip = make_clip()
    said = {"label": "measured " * 60, "near": 0, "far": 1e308}
    arrays = {name: clip[name] for name in ("rgb", "depth_person")}
    sheet = contact_sheet(Clip.of(clip.key, arrays, {"depth": {"depth_person": said}}))
    assert decode_image(sheet).ndim == 3


def test_a_clip_of_one_frame_and_no_words(make_clip: Callable[..., Clip]) -> None:
    page = decode_image(contact_sheet(Clip("k-a-0", make_clip().rgb[:1])))
    assert page.shape[2] == 3


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Привет Ωé مرحبا שלום", "Привет Ωé مرحبا שלום"),
        ("a\n\udcffb", "a\\n\\udcffb"),
        ("\U000e1234\u0378", "\\U000e1234\\u0378"),  # no font has what means nothing
    ],
)
def test_what_no_font_has_is_written_out(text: str, drawn: str) -> None:
    assert drawable(text) == (drawn, ("DejaVu Sans",))
    assert drawable(text, bold=True) == (drawn, ("DejaVu Sans",))


def test_an_installed_font_is_taken_for_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here one of matplotlib's own, as if it were installed: it has a sign that DejaVu lacks."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import fontManager

    path = f"{get_data_path()}/fonts/ttf/STIXGeneral.ttf"
    [name] = {font.name for font in fontManager.ttflist if font.fname == path}
    sign = min(c for c in _characters(path) - _own_characters("normal") if c.isprintable())
    assert drawable(sign)[0] == sign.encode("unicode_escape").decode()
    _others.cache_clear()
    monkeypatch.setattr("matplotlib.get_data_path", lambda: "/nowhere")
    monkeypatch.setattr(fontManager, "ttflist", [f for f in fontManager.ttflist if f.fname == path])
    assert drawable(f"a{sign}") == (f"a{sign}", ("DejaVu Sans", name))
    _others.cache_clear()
