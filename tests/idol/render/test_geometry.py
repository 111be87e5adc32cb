"""The camera, surfaces that are cut where depth jumps, and the place behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from idol.render.camera import Camera, Orbit
from idol.render.errors import RenderError
from idol.render.footage import Footage
from idol.render.place import place_behind
from idol.render.relief import NOTHING
from idol.render.surface import corner_depths, surface_of
from tests.idol.render.scenes import SIDE, footage, relief, rotation, two_layers


def test_what_a_camera_sees_lies_where_it_saw_it():
    camera = Camera.of_focal(84.0, 64, 48, (30.5, 25.5))
    u, v, z = np.array([0.1, 0.9]), np.array([0.2, 0.7]), np.array([2.0, 5.0])
    np.testing.assert_allclose(camera.picture(camera.points(u, v, z)), np.stack([u, v], -1))
    # x = (column - centre) z / focal, columns' centres at integers.
    np.testing.assert_allclose(camera.points(u, v, z)[:, 0], (u * 64 - 0.5 - 30.5) * z / 84)


def test_the_angle_of_view_is_that_of_the_longer_side():
    assert Camera.of_view(60, 300, 100).view == pytest.approx(60)
    assert Camera.of_view(60, 300, 100).half_height == pytest.approx(np.tan(np.pi / 6) / 3)


def test_an_orbit_leaves_the_pivot_where_it_is_and_turns_as_it_says():
    orbit = Orbit(20, 7, (0.3, -0.2, 3.0))
    np.testing.assert_allclose(orbit.turn, rotation(20, 7), atol=1e-12)
    np.testing.assert_allclose(orbit.moved(np.array([orbit.pivot])), [orbit.pivot])
    # Seen from further right, what lies behind the pivot is to the right of it.
    assert Orbit(10, 0, (0, 0, 3)).moved(np.array([0, 0, 4.0]))[0] > 0
    # Seen from above, it is higher: y is down.
    assert Orbit(0, 10, (0, 0, 3)).moved(np.array([0, 0, 4.0]))[1] < 0


def test_neighbours_share_corners_unless_depth_jumps():
    z = np.array([[1.0, 1.1, 5.0]], np.float32)
    surface = surface_of(z, np.ones_like(z, bool), 0.5)
    left, middle, right = surface.squares
    assert left[1] == middle[0]
    assert left[2] == middle[3]
    assert not set(middle) & set(right)
    np.testing.assert_allclose(surface.z[left], [1, 1.05, 1.05, 1])
    np.testing.assert_allclose(surface.z[right], 5)
    assert len(surface.z) == 4 + 2 + 4


@given(
    arrays(np.float32, (5, 6), elements=st.floats(1, 3, width=32)),
    arrays(bool, (5, 6)),
    st.floats(0.01, 1),
)
def test_surfaces_have_no_gaps_and_do_not_stretch(z, valid, cut):
    means, points = corner_depths(z, valid, cut)
    surface = surface_of(z, valid, cut)
    # Every pixel that there is has its square, of the corners that are its own.
    assert len(surface.squares) == valid.sum()
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(
        surface.corners[surface.squares], surface.pixels[:, None] + corner
    )
    own = z[surface.pixels[:, 1], surface.pixels[:, 0]]
    assert (np.abs(surface.z[surface.squares] - own[:, None]) <= 1.5 * cut + 1e-5).all()
    # Two neighbours of one surface have both corners between them in common.
    for (dy, dx), mine, others in (((0, 1), (1, 2), (0, 3)), ((1, 0), (3, 2), (0, 1))):
        a = np.s_[: 5 - dy, : 6 - dx]
        b = np.s_[dy:, dx:]
        joined = valid[a] & valid[b] & (np.abs(z[a] - z[b]) <= np.float32(cut))
        for k, n in zip(mine, others, strict=True):
            np.testing.assert_array_equal(points[a][..., k][joined], points[b][..., n][joined])
            np.testing.assert_allclose(
                means[a][..., k][joined], means[b][..., n][joined], rtol=1e-5
            )


def test_the_place_is_what_most_frames_show_then_what_was_given_then_invented():
    frames = np.full((5, 40, 40, 3), 100, np.uint8)
    frames[0, 2, 2] = 255  # a flash in one frame of five
    mask = np.zeros((5, 40, 40), np.uint8)
    mask[:, 10:20, 10:30] = 255
    frames[:, 10:20, 10:30] = (200, 0, 0)
    background = np.full((40, 40, 3), 90, np.uint8)  # the same place, a little darker
    hole = np.zeros((40, 40), np.uint8)
    hole[14:17, 14:20] = 255
    place = place_behind(frames, mask, background, hole)
    np.testing.assert_array_equal(place.invented, (hole > 0))
    np.testing.assert_array_equal(place.picture[~place.invented], 100)
    np.testing.assert_allclose(place.picture[place.invented], 100.0, atol=2)
    assert place.shift == (10, 10, 10)
    assert place.moves == pytest.approx(155 / (5 * 1600 - 5 * mask[0].astype(bool).sum()), rel=0.3)
    nobody_given = place_behind(frames, mask)
    np.testing.assert_array_equal(nobody_given.invented, ~nobody_given.seen)
    assert nobody_given.invented[10:20, 10:30].all()


def test_a_place_that_nothing_shows_is_all_invented():
    frames = np.full((2, 16, 16, 3), 77, np.uint8)
    place = place_behind(frames, np.full((2, 16, 16), 255, np.uint8))
    assert place.invented.all()
    assert (place.picture == 77).all()


def test_the_place_is_behind_the_person_in_every_frame():
    # Its own depth claims to be nearer than the person.
    made = relief(footage(surroundings=np.full((2, SIDE, SIDE), 2.5, np.float32)))
    rows, columns = made.backdrop.z.shape
    mx, my = made.backdrop.margin
    for frame in range(2):
        y, x = np.nonzero(made.z[frame])
        column = np.rint(((x + 0.5) / SIDE + mx) / (1 + 2 * mx) * (columns - 1)).astype(int)
        row = np.rint(((y + 0.5) / SIDE + my) / (1 + 2 * my) * (rows - 1)).astype(int)
        assert (made.backdrop.z[row, column] > made.z[frame][y, x]).all()
    assert made.backdrop.z.min() == pytest.approx(2.5, abs=0.01)


@pytest.mark.parametrize("unit", ["metres", "relative"])
@pytest.mark.parametrize(("width", "height"), [(96, 54), (54, 96)])
def test_depth_of_all_that_is_seen_is_picked_as_the_persons_is(width, height, unit):
    made = footage(2, width, height)
    everything = np.nan_to_num(made.depth, nan=4.0)
    whole = relief(
        footage(2, width, height, depth=everything, surroundings=everything, unit=unit), grid=48
    )
    assert whole.z.shape == (2, height // 2, width // 2)
    assert whole.told["background"]["depth_from"] == "its own depth"
    person = whole.z[whole.z > 0]
    assert whole.backdrop.z.min() > np.median(person)


def test_behind_an_arm_the_trunk_goes_on():
    made = relief(two_layers())
    z, there = made.hidden_layer(0)
    arm = made.z[0] < 2.8
    arm &= made.z[0] > 0
    assert there[arm].mean() > 0.8  # as far as can be seen behind it
    np.testing.assert_allclose(z[arm & there], 3.0 + made.nudge, atol=1e-4)
    dx, dy = made.hidden[0, arm & there].T
    y, x = np.nonzero(arm & there)
    np.testing.assert_array_equal(made.colours[0, y + dy, x + dx, 1], 200)
    assert (relief().hidden == NOTHING).all()  # a body without jumps hides nothing


def test_colours_of_the_person_go_on_beyond_them():
    made = relief()
    edge = (made.z[0] > 0) & (made.alpha[0] == 0)
    assert edge.any()
    inside = made.alpha[0] == 255
    np.testing.assert_array_equal(made.colours[0][inside], made.frames[0][inside])
    place = made.frames[0][edge].astype(int)
    assert np.abs(made.colours[0][edge] - place).max(axis=-1).mean() > 20


def test_metres_are_kept_and_assumptions_are_told():
    made = relief()
    assert made.unit == "metres"
    assert made.told["depth"] == {"unit": "metres", "from": "the camera"}
    inside = made.alpha[0] == 255
    np.testing.assert_allclose(made.z[0][inside], footage().depth[0][inside])
    around = footage()
    hips = Footage(
        around.frames, around.depth - 3, 10.0, "metres", around.mask, name="from the hips"
    )
    told = relief(hips).told["depth"]
    assert told["from"] == "a point of the person"
    # 1.7 m over about .66 of what 40 degrees show.
    assert told["distance"] == pytest.approx(1.7 / (2 * np.tan(np.radians(20)) * 0.66), rel=0.03)
    assert relief(hips, distance=4.0).told["depth"]["distance"] == 4


def test_relative_depth_has_the_thickness_that_was_asked_for():
    around = footage()
    made = relief(
        Footage(around.frames, around.depth * 7 - 2, 10.0, "relative", around.mask), thickness=0.5
    )
    assert made.unit == "picture widths"
    near, far = made.told["depth_range"]
    assert far - near == pytest.approx(0.5, abs=1e-3)
    # One picture width is what the picture shows at the person's middle.
    assert 2 * made.camera.half_width * made.pivot[2] == pytest.approx(1, rel=1e-4)


def test_frames_finer_than_their_depth_give_smooth_outlines():
    around = footage(1)
    small = slice(1, None, 4)
    made = relief(
        Footage(
            around.frames,
            np.ascontiguousarray(around.depth[:, small, small]),
            10.0,
            "metres",
            np.ascontiguousarray(around.mask[:, small, small]),
        )
    )
    assert made.z.shape == around.depth.shape
    inside = (made.alpha[0] == 255) & np.isfinite(around.depth[0])
    assert np.abs(made.z[0] - around.depth[0])[inside].max() < 0.06


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": np.zeros((2, 8, 8), np.uint8)}, "frames is uint8"),
        ({"depth": np.zeros((2, 8, 8))}, "depth is float64"),
        ({"depth": np.zeros((3, SIDE, SIDE), np.float32)}, "depth has 3 frames, and the video 2"),
        ({"depth": np.zeros((2, SIDE, 40), np.float32)}, "of another shape"),
        ({"mask": np.zeros((2, 40, SIDE), np.uint8)}, "of another shape"),
        ({"fps": 0.0}, "not a rate"),
        ({"fps": float("nan")}, "not a rate"),
        ({"background": np.zeros((SIDE, SIDE), np.uint8)}, "background is uint8"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changes, message):
    with pytest.raises(RenderError, match=message):
        footage(**changes)


def test_a_video_without_anybody_is_refused_and_a_frame_without_is_not():
    nobody = np.zeros((2, SIDE, SIDE), np.uint8)
    with pytest.raises(RenderError, match="shows nobody"):
        relief(footage(mask=nobody))
    nobody[0] = footage().mask[0]
    made = relief(footage(mask=nobody))
    assert made.told["frames_without_person"] == 1
    assert not made.z[1].any()
