"""Rendered people: what is called true of a picture must be seen in it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocess.errors import InputError
from preprocess.sources.people.motion import MOTIONS
from preprocess.sources.people.reader import RenderedVideo
from preprocess.sources.people.render import Picture, Renderer
from preprocess.sources.people.spec import PeopleSpec, load_spec
from preprocess.sources.people.stage import SKY
from preprocess.sources.people.world import World, make_world
from preprocess.sources.registry import list_videos
from shards.sample.keypoints import OPENPOSE_134

SPEC = PeopleSpec(seed=5, width=96, height=96, frames=24, two_people=0.4)
ROOT = Path(__file__).parents[3]


@lru_cache(maxsize=8)
def _world(video: int, motion: str = "") -> tuple[World, Renderer]:
    only = {"motions": {motion: 1.0}, "two_people": 0.0} if motion else {}
    world = make_world(SPEC.model_copy(update=only), video)
    return world, Renderer(world, SPEC.fps)


@lru_cache(maxsize=16)
def _picture(video: int, frame: int = 3) -> Picture:
    return _world(video)[1].pictures([frame])[0]


@pytest.mark.parametrize("video", [0, 1, 2, 3])
def test_joints_are_where_the_camera_puts_them(video: int) -> None:
    picture = _picture(video)
    camera, truth = picture.truth.camera, picture.truth
    defined = truth.joints[..., 2] == 1
    space = picture.truth.space[defined].astype(np.float64)
    x, y = (space[:, :2] / space[:, 2:] * camera.focal + camera.centre).T
    np.testing.assert_allclose(truth.joints[defined][:, 0], x, atol=0.01)
    np.testing.assert_allclose(truth.joints[defined][:, 1], y, atol=0.01)


def test_all_that_a_body_defines_is_given_and_nothing_else() -> None:
    scores = _picture(0).truth.joints[0, :, 2]
    given = [name for name, score in zip(OPENPOSE_134.joints, scores, strict=True) if score]
    assert len(given) == 18 + 6 + 2 * 21  # body, feet, hands; no marks of the face
    assert not any(name.startswith("face_") for name in given)


@pytest.mark.parametrize("video", [0, 1, 2, 3])
def test_seen_joints_lie_under_the_surface_that_the_depth_shows(video: int) -> None:
    picture = _picture(video)
    truth = picture.truth
    for person in range(len(truth.joints)):
        seen = ~truth.hidden[person] & (truth.joints[person, :, 2] == 1)
        assert seen.any()
        for x, y, z in np.column_stack(
            [truth.joints[person, seen, :2], picture.truth.space[person, seen, 2]]
        ):
            around = truth.person[person][
                max(0, round(y) - 1) : round(y) + 2, max(0, round(x) - 1) : round(x) + 2
            ]
            # A pixel is some five centimetres wide here.
            assert np.nanmin(around) - 0.05 < z < np.nanmax(around) + 0.17


@pytest.mark.parametrize("video", [0, 2, 3])
def test_depth_is_that_of_the_surface(video: int) -> None:
    """Each pixel of the person, taken back to space, lies on what they wear, to a centimetre."""
    world, renderer = _world(video)
    picture = _picture(video)
    (moment,) = renderer._moments([3])
    view = picture.view
    depth = picture.truth.person[0]
    inside = picture.truth.masks[0] == 255
    points = (view.place + view.rays(1) * depth[..., None])[inside]
    surface = np.concatenate(
        [
            vertices[layer.faces].mean(1)
            for layer, (vertices, _) in zip(world.people[0].layers, moment.layers[0], strict=True)
        ]
    )
    every = points[:: max(1, len(points) // 60)]
    away = np.linalg.norm(every[:, None] - surface[None], axis=-1).min(1)
    # Triangles are up to some centimetres wide; their middles are that far from a point on them.
    assert np.median(away) < 0.012
    assert away.max() < 0.08


def test_depth_of_the_frame_is_that_of_whoever_is_in_front() -> None:
    for video in range(4):
        truth = _picture(video).truth
        inside = (truth.masks == 255).any(0)
        nearest = np.where(np.isnan(truth.person), np.inf, truth.person).min(0)
        np.testing.assert_array_equal(truth.depth[inside], nearest[inside])
        assert truth.depth.min() > 0.3
        assert truth.depth.max() <= SKY + 1e-3
        assert np.isnan(truth.person[truth.masks == 0]).all()


def test_edges_of_masks_are_soft() -> None:
    mask = _picture(0).truth.masks[0]
    values = np.unique(mask)
    assert len(values) == 10  # nine samples a pixel
    assert set(values) >= {0, 255}
    person = mask > 127
    near = cv2.dilate(person.astype(np.uint8), np.ones((5, 5))) - cv2.erode(
        person.astype(np.uint8), np.ones((5, 5))
    )
    assert near[(mask > 0) & (mask < 255)].mean() > 0.9  # fingers are thinner than a pixel


@pytest.mark.parametrize("motion", ["dance", "walk", "crouch"])
def test_flow_takes_a_frame_onto_the_next(motion: str) -> None:
    # Large enough that what clothes show is wider than a pixel.
    close = PeopleSpec(seed=5, motions={motion: 1.0}, two_people=0, camera={"fill": (0.7, 0.95)})
    renderer = Renderer(make_world(close, 1), close.fps)
    now, after = renderer.pictures([6, 7])
    flow, seen = renderer.flow(6, 7)
    grid = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).astype(np.float32)
    there = grid + flow
    warped = cv2.remap(after.rgb, there[..., 0], there[..., 1], cv2.INTER_LINEAR).astype(float)
    inside = seen & (cv2.erode(now.truth.masks[0], np.ones((3, 3))) == 255)
    assert inside.sum() > 100
    still = abs(after.rgb.astype(float) - now.rgb).mean(-1)[inside].mean()
    moved = abs(warped - now.rgb).mean(-1)[inside].mean()
    assert abs(flow[inside]).max() > 0.2
    assert moved < 0.6 * still


@pytest.mark.parametrize("motion", list(MOTIONS))
def test_feet_are_on_the_floor(motion: str) -> None:
    world, renderer = _world(2, motion)
    lowest = []
    for moment in renderer._moments(range(0, 24, 3)):
        lowest.append(min(float(vertices[:, 2].min()) for vertices, _ in moment.layers[0]))
    assert min(lowest) > -0.02
    assert max(lowest) < 0.03
    standing = [v[:, 2].max() for v, _ in (renderer._moments([0])[0].layers[0][0],)]
    assert 0.5 * world.people[0].rig.stature < standing[0] < 1.4 * world.people[0].rig.stature


@pytest.mark.parametrize("motion", list(MOTIONS))
def test_bodies_move_as_bodies_can(motion: str) -> None:
    """Bones keep their length, knees and elbows bend one way, and nothing jumps."""
    _, renderer = _world(3, motion)
    joints = np.stack([m.joints[0] for m in renderer._moments(range(24))])
    at = {name: joints[:, OPENPOSE_134.joints.index(name)] for name in OPENPOSE_134.joints[:18]}
    for side in ("left", "right"):
        for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            length = np.linalg.norm(at[f"{side}_{a}"] - at[f"{side}_{b}"], axis=-1)
            assert np.ptp(length) < 0.12 * length.mean()
    speed = np.linalg.norm(np.diff(joints[:, :18], axis=0), axis=-1) * 25
    assert speed.max() < 6.0  # metres a second


def test_a_frame_does_not_depend_on_what_was_rendered_before() -> None:
    video = RenderedVideo(SPEC, 3)
    alone = next(iter(RenderedVideo(SPEC, 3).read([5])))
    other = pickle.loads(pickle.dumps(video))
    from preprocess.sources.people import reader

    reader._pictures.clear()
    reader._renderer.cache_clear()
    together = list(other.read([1, 2, 5, 6]))[2]
    assert together.index == 5
    np.testing.assert_array_equal(alone.rgb, together.rgb)
    (truth,), (again,) = video.truth([5]), other.truth([5])
    np.testing.assert_array_equal(truth.depth, again.depth)
    np.testing.assert_array_equal(truth.joints, again.joints)


def test_other_videos_and_seeds_are_others() -> None:
    frames = [
        next(iter(RenderedVideo(spec, number).read([0]))).rgb
        for spec, number in ((SPEC, 0), (SPEC, 1), (SPEC.model_copy(update={"seed": 6}), 0))
    ]
    assert not np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])
    prints = {RenderedVideo(SPEC, n).fingerprint() for n in range(3)}
    assert len(prints) == 3


def test_examples_can_be_read() -> None:
    smoke = list_videos("people", ROOT / "examples" / "people-smoke.yaml").videos
    assert len(smoke) == 10
    assert {v.frames for v in smoke} == {16}
    assert load_spec(ROOT / "examples" / "people.yaml") == PeopleSpec(
        videos=300, stages={"room": 5, "outdoors": 3, "studio": 1}
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("videos: 0", "videos: Input should be greater than or equal to 1"),
        ("vidoes: 3", "vidoes: there is no such setting"),
        ("videos: 3\nvideos: 4", "duplicate key `videos`"),
        ("camera: {pan: [0, 1], pan: [1, 2]}", "duplicate key `pan`"),
        ("body: {age: old}", "body.age: must be a range, as in [0.2, 0.8]"),
        ("body: 3", "body: must be settings by name"),
        ("motions: walk", "motions: must be weights by name"),
        ("body: {age: [0.9, 0.1]}", "body.age: the range goes from 0.9 down to 0.1"),
        ("body: {age: [0.1, 2]}", "body.age: [0.1, 2.0] is not within 0 to 1"),
        ("motions: {fly: 1}", "motions: 'fly' is not one of walk, turn"),
        ("motions: {walk: -1}", "the weight of 'walk' is -1"),
        ("motions: {walk: 0}", "all weights are 0"),
        ("- 1", "holds no settings by name"),
        ("a: [", "cannot be read as YAML"),
        ("videos: 2026-99-99", "cannot be read as YAML: month must be in 1..12"),
        ("videos: !!timestamp soon", "cannot be read as YAML"),
        ("a: " + "[" * 3000, "is nested too deeply"),
        ("skin: [.nan, .nan]", "skin.0: Input should be a finite number"),
        ("facing: .nan", "facing: Input should be a finite number"),
        ("stages: {picture: 1}", "`pictures` names no folder"),
        ("pictures: nowhere", "is no folder"),
    ],
)
def test_mistakes_in_a_spec_are_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        list_videos("people", path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_kernels_say_nothing() -> None:
    code = """
import numpy as np
from preprocess.sources.people.rasterize import Buffer

buffer = Buffer(4, 4)
corners = np.array([[0, 0, 1], [4, 0, 1], [0, 4, 1]], np.float32)
buffer.draw(corners, np.array([[0, 1, 2]], np.int32))
assert buffer.face[1, 1] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder: --source takes the file that says which"):
        list_videos("people", tmp_path)


def test_pictures_of_the_users_stand_behind(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((40, 60, 3), (0, 200, 0), np.uint8))
    path = tmp_path / "spec.yaml"
    path.write_text("{videos: 1, width: 64, height: 64, pictures: images, stages: {picture: 1}}")
    (video,) = list_videos("people", path).videos
    (frame,) = video.reader.read([0])
    assert (frame.rgb[0, 0] == frame.rgb[0, -1]).all()
    assert frame.rgb[0, 0, 1] > 150
