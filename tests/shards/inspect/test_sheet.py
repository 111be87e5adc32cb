from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from shards.inspect.glyphs import _characters, _others, _own_characters, drawable
from shards.inspect.sheet import contact_sheet, reference_tiles, rows_of_tiles
from shards.sample.clip import Clip
from shards.sample.colormap import depth_to_hot
from shards.sample.images import decode_image


def test_a_row_for_each_modality(make_clip: Callable[..., Clip]) -> None:
    clip = make_clip()
    rows = rows_of_tiles(clip)
    assert list(rows) == ["rgb", "mask", "pose", "depth_person", "depth_frame"]
    assert {tiles.shape for tiles in rows.values()} == {(3, 24, 32, 3)}
    np.testing.assert_array_equal(rows["depth_person"], depth_to_hot(clip.depth_person))
    drawn = clip.pose.max(axis=-1) >= 64
    np.testing.assert_array_equal(rows["pose"][drawn], clip.pose[drawn])


def test_foreground_and_background_are_cut_from_the_reference(
    make_clip: Callable[..., Clip],
) -> None:
    clip = make_clip()
    tiles = dict(reference_tiles(clip))
    person = clip.reference_mask == 255
    np.testing.assert_array_equal(tiles["foreground"][person], clip.reference[person])
    assert (tiles["foreground"][~person] == 255).all()
    np.testing.assert_array_equal(tiles["background"][~person], clip.reference[~person])


@pytest.mark.parametrize("video", ["walk", "$x_1$ [red]", "舞蹈.mp4"])
def test_a_sheet_is_an_image_whatever_the_names(make_clip: Callable[..., Clip], video: str) -> None:
    clip = make_clip()
    png = contact_sheet(replace(clip, info={**clip.info, "video": video}), source="shard")
    page = decode_image(png)
    assert page.dtype == np.uint8
    assert page.shape[1] > 900
    assert np.ptp(page) > 200


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
