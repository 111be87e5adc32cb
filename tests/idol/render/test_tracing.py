"""Pictures on the CPU: as points say, without holes, without anything stretched."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.config.render import RenderConfig
from idol.render.read import read_footage
from idol.render.relief import Relief, Shape, relief_of
from shards import open_dataset
from tests.idol.render.scenes import SIDE, projected, relief, two_layers

Tracer = pytest.importorskip("idol.render.tracing", reason="warp is not installed").Tracer
PEOPLE = Path(__file__).parents[3] / "examples" / "people.tar"


def difference(picture: np.ndarray, expected: np.ndarray) -> float:
    """Mean difference in levels, away from outlines."""
    inside = cv2.erode(np.isfinite(expected[..., 3]).astype(np.uint8), np.ones((5, 5))) > 0
    depth = np.nan_to_num(expected[..., 3], nan=9).astype(np.float32)
    jumps = cv2.dilate(depth, np.ones((5, 5))) - cv2.erode(depth, np.ones((5, 5))) > 0.2
    compared = inside & ~jumps
    assert compared.mean() > 0.4
    return float(np.abs(picture[compared] - expected[..., :3][compared]).mean())


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (15, 0), (-15, 0), (0, 10), (12, -8)])
def test_pictures_are_as_points_say(yaw, pitch):
    made = relief()
    picture = Tracer(made).draw(1, yaw, pitch, SIDE, SIDE)
    assert difference(picture, projected(made, 1, yaw, pitch, SIDE)) < 2
    if yaw or pitch:  # from elsewhere it would look different
        assert difference(picture, projected(made, 1, -yaw, -pitch, SIDE)) > 8


def test_from_the_front_a_frame_is_seen_as_it_was():
    made = relief()
    picture = Tracer(made, samples=1).draw(0, 0, 0, SIDE, SIDE).astype(int)
    apart = np.abs(picture - made.frames[0])
    assert np.median(apart) <= 1
    assert (apart.max(axis=-1) > 12).mean() < 0.03  # outlines, made soft


def test_depth_times_nought_is_a_flat_picture():
    made = relief()
    flat = Tracer(made, depth_scale=0).draw(0, 20, 0, SIDE, SIDE)
    deep = Tracer(made, depth_scale=2).draw(0, 20, 0, SIDE, SIDE)
    assert np.abs(flat.astype(int) - deep).mean() > 3
    person = Tracer(made, depth_scale=0).coverage(0, 20, 0, SIDE, SIDE)[..., 0]
    # Of a plane turned by 20 degrees: narrower by the cosine.
    ratio = person.sum() / Tracer(made).coverage(0, 0, 0, SIDE, SIDE)[..., 0].sum()
    assert ratio == pytest.approx(np.cos(np.radians(20)), abs=0.03)


def holes(made: Relief, frame: int, yaw: float, pitch: float, side: int) -> tuple[float, float]:
    """Of the pixels that the person's points fall on, inside their outline, the share that does not
    show the person; and the least that is covered by anything around it."""
    seen = Tracer(made, samples=1).coverage(frame, yaw, pitch, side, side)
    points = person_points(made, frame, yaw, pitch, side).astype(np.uint8)
    closed = cv2.morphologyEx(points, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    inside = cv2.erode(closed, np.ones((3, 3), np.uint8)) > 0
    around = cv2.dilate(closed, np.ones((9, 9), np.uint8)) > 0
    total = 1 - (1 - seen[..., 0]) * (1 - seen[..., 1])
    return float((seen[..., 0][inside] < 0.5).mean()), float(total[around].min())


def person_points(made: Relief, frame: int, yaw: float, pitch: float, side: int) -> np.ndarray:
    """(side, side) bool: where pixels fall that are the person's alone, whatever is before them."""
    only = made.backdrop
    far = type(only)(only.picture, only.opacity, only.invented, only.z * 0 + 1e4, only.margin)
    alone = Relief(
        **{**made.__dict__, "backdrop": far, "alpha": (made.alpha >= 250) * np.uint8(255)}
    )
    return projected(alone, frame, yaw, pitch, side)[..., 3] < 1e3


VIEWS = [(15, 0), (-15, 0), (0, 15), (0, -15), (10, 10)]


def test_behind_an_arm_no_gap_opens():
    made = relief(two_layers())
    for yaw, pitch in VIEWS:
        assert holes(made, 0, yaw, pitch, 2 * SIDE) == (0, 1)
    # Without what is hidden the place would be seen through the trunk.
    made.hidden[:] = -128
    assert holes_in_trunk(made) > 100


def holes_in_trunk(made: Relief) -> int:
    seen = Tracer(made, samples=1).coverage(0, 0, 15, 2 * SIDE, 2 * SIDE)[..., 0] > 0.5
    closed = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    return int((closed > 0).sum() - seen.sum())


@pytest.mark.parametrize("key", ["people-00000-0", "people-00005-0"])
def test_rendered_people_have_no_hole_at_their_outline(key):
    config = RenderConfig(video=f"{PEOPLE}::{key}", out=Path("unused"), frames=6)
    made = relief_of(read_footage(config), Shape())
    for yaw, pitch in VIEWS:
        inside, around = holes(made, 3, yaw, pitch, 160)
        assert inside < 0.002
        assert around > 0.99


@pytest.mark.slow
def test_generated_people_have_no_hole_at_their_outline(tmp_path):
    """By the model that comes with the package, in few steps."""
    from idol.generate.generator import ClipGenerator, conditions_of
    from idol.generate.outputs import write_outputs
    from idol.pretrained import PEOPLE64

    clip = open_dataset(PEOPLE).read("people-00000-0", frames=range(8))
    generated = ClipGenerator.from_folder(PEOPLE64, steps=10)(conditions_of(clip), 0)
    write_outputs(tmp_path / "out", generated, {}, watermark=None)
    footage = read_footage(RenderConfig(video=str(tmp_path / "out"), out=Path("unused")))
    made = relief_of(footage, Shape())
    for yaw, pitch in VIEWS:
        inside, around = holes(made, 4, yaw, pitch, 160)
        assert inside < 0.002
        assert around > 0.99


def test_nothing_stretches_from_the_person_to_the_place():
    """From the side colours are the person's or the place's, never between."""
    made = relief(two_layers())
    made.backdrop.picture[:] = (0, 0, 250)
    made.backdrop.opacity[:] = 255
    picture = Tracer(made, samples=1).draw(0, 15, 0, 2 * SIDE, 2 * SIDE).astype(int)
    palette = np.array([(220, 40, 40), (40, 200, 60), (0, 0, 250)])
    apart = np.abs(picture[:, :, None] - palette).sum(-1).min(-1)
    # Outlines are soft for a pixel of the grid; a sheet would be wider.
    assert (apart > 40).mean() < 0.04
    eroded = cv2.erode((apart > 40).astype(np.uint8), np.ones((5, 5)))
    assert not eroded.any()


def test_wide_pictures_of_tall_videos_show_more_and_never_less():
    made = relief()
    wide = Tracer(made, samples=1).draw(0, 0, 0, 2 * SIDE, SIDE)
    square = Tracer(made, samples=1).draw(0, 0, 0, SIDE, SIDE)
    np.testing.assert_allclose(wide[:, SIDE // 2 : SIDE // 2 + SIDE], square, atol=1)
