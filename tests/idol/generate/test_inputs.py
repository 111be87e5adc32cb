"""What is given to generation: read, placed, and refused in one clear line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from idol.config.checks import ConfigError
from idol.config.generate import GenerateConfig, read_fps
from idol.generate.errors import CannotRetargetError, GenerationError
from idol.generate.generator import conditions_of, joints_of
from idol.generate.inputs.clip import motion_of_clip, person_of_clip
from idol.generate.inputs.frame import box_of_motion, fit, hole_in, square_around
from idol.generate.inputs.motion import (
    motion_of_keypoints,
    motion_of_skeletons,
    resampled,
    trimmed,
)
from idol.generate.inputs.options import annotation
from idol.generate.inputs.photo import _before, person_of_photo
from idol.generate.inputs.prepare import prepare
from idol.generate.inputs.preview import _person, preview_sheet
from idol.generate.inputs.read import read_motion
from idol.generate.inputs.values import Motion, Person
from idol.generate.inputs.video import motion_of_video
from idol.mp4 import mp4_writer
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.crop import Crop
from preprocess.video import VideoFile
from shards.sample.images import decode_image
from shards.sample.keypoints import OPENPOSE_134, Keypoints
from shards.sample.skeleton import MIN_SCORE, draw_poses
from tests.idol.generate.figures import BONES, figure, walk
from tests.idol.train.micro import clip

WIDTH, HEIGHT = 400, 320


def person(**changes: object) -> Person:
    """A figure of 260 pixels, standing at (200, 300) before a photo of 400x320."""
    rng = np.random.default_rng(0)
    background = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[120:300, 170:230] = 255
    points = figure(BONES)[None]
    given = {
        "foreground": background[110:310, 100:300],
        "foreground_mask": mask[110:310, 100:300],
        "background": background,
        "background_mask": mask,
        "keypoints": points,
        "name": "photo.png",
    }
    return Person(**{**given, **changes})  # type: ignore[arg-type]


def motion(points: np.ndarray, size: tuple[int, int] = (640, 360), fps: float = 25.0) -> Motion:
    return Motion(points, size, fps, "driving.mp4")


def test_the_joints_are_those_that_are_drawn() -> None:
    """In pixels of the output, 1 where they are seen; and the person's own as they are given."""
    points = np.repeat(figure(BONES)[None], 3, 0)
    points[1, 4, 2] = 0.1
    own = np.ones((18, 3), np.float32)
    conditions, placement = prepare(person(joints=own), motion(points), size=64, method="none")
    assert conditions.joints is not None
    assert placement.keypoints is not None
    np.testing.assert_array_equal(conditions.joints[..., :2], placement.keypoints[:, :18, :2])
    seen = placement.keypoints[:, :18, 2] >= MIN_SCORE
    np.testing.assert_array_equal(conditions.joints[..., 2], seen)
    assert not seen[1, 4]
    assert conditions.foreground_joints is own
    assert conditions.posed
    rest = conditions.part(slice(1, 3))
    assert rest.foreground is conditions.foreground
    np.testing.assert_array_equal(rest.joints, conditions.joints[1:])
    np.testing.assert_array_equal(rest.skeletons, conditions.skeletons[1:])
    drawings = np.zeros((3, 64, 64, 3), np.uint8)
    drawings[:, 20:40, 30:33] = 255
    drawn = Motion(None, (64, 64), 25.0, "drawn", drawings)
    assert not prepare(person(joints=own), drawn, size=64)[0].posed


def test_the_square_holds_the_motion_and_a_tenth_and_lies_in_the_picture_where_it_can() -> None:
    crop = square_around((100, 50, 160, 250), (WIDTH, HEIGHT), 64)
    assert crop.side == 240  # 200 and a tenth on either side
    assert crop.y == 30
    assert crop.x <= 80
    assert crop.x + crop.side >= 180
    assert crop.x == 10  # in the middle, which is in the picture
    assert square_around((10, 50, 70, 250), (WIDTH, HEIGHT), 64).x == -10  # a tenth is kept


def test_what_lies_outside_of_the_photo_is_hole() -> None:
    crop = Crop("motion", -100, 0, 320, 32)
    hole = hole_in(crop, np.zeros((HEIGHT, WIDTH), np.uint8))
    assert (hole[:, :9] == 255).all()
    assert (hole[:, 11:] == 0).all()


def test_a_letterboxed_picture_lies_in_the_middle_of_the_other() -> None:
    over = fit((640, 360), (400, 320))
    assert over.scale == 0.625
    for x, y in ((0, 0), (639, 359)):
        at = (over.scale * x + over.x, over.scale * y + over.y)
        assert -0.5 <= at[0] <= 399.5
        assert 47 <= at[1] <= 272
    assert over.scale * 319.5 + over.x == pytest.approx(199.5)


def test_the_frame_holds_every_joint_of_a_retargeted_motion() -> None:
    driving = motion(walk(BONES, at=(100, 300), step=4.0))
    conditions, placement = prepare(person(), driving, size=64)
    assert conditions.frames == len(driving)
    assert conditions.skeletons.shape == (40, 64, 64, 3)
    assert placement.keypoints is not None
    seen = placement.keypoints[..., 2] > 0
    inside = placement.keypoints[seen][:, :2]
    assert inside.min() >= 64 / 12 - 1
    assert inside.max() <= 64 - 64 / 12 + 1
    x0, y0, x1, y1 = placement.box
    assert x1 - x0 == y1 - y0
    assert x1 > WIDTH  # it walks out of the photo
    assert placement.outside > 0
    outside = np.arange(64) * (x1 - x0) / 64 + x0 > WIDTH + 4
    assert (conditions.background_mask[:, outside] == 255).all()


def test_the_motion_begins_where_the_person_stands() -> None:
    driving = motion(walk(BONES, at=(500, 200), step=4.0))
    _, placement = prepare(person(), driving, size=64)
    assert placement.keypoints is not None
    x0, y0, x1, _ = placement.box
    back = placement.keypoints[0, [10, 13], :2].mean(0) * (x1 - x0) / 64 + (x0, y0)
    assert back == pytest.approx((200, 295), abs=12)


def test_a_clips_own_motion_over_its_own_background_changes_nothing() -> None:
    own = clip(3)
    conditions, placement = prepare(
        person_of_clip(own), motion_of_clip(own), size=16, frame="whole"
    )
    assert own.pose is not None
    assert own.background is not None
    assert np.array_equal(conditions.skeletons, own.pose)
    assert np.array_equal(conditions.background, own.background)
    assert np.array_equal(conditions.background_mask, own.background_mask)
    assert placement.box == (0, 0, 16, 16)


def test_all_of_the_background_is_shown_where_it_holds_the_motion() -> None:
    stays, leaves = (motion(walk(BONES, at=(100, 300), step=step)) for step in (0.5, 9.0))
    _, inside = prepare(person(), stays, size=64, frame="whole if inside")
    assert (inside.frame, inside.box) == ("whole", (0, -40, 400, 360))
    _, outside = prepare(person(), leaves, size=64, frame="whole if inside")
    assert outside.frame == "motion"


def test_a_clips_pose_is_put_where_its_reference_shows_the_person() -> None:
    own = clip(3, size=64)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:60, 36:52] = 255
    poses = walk({k: 0.25 * v for k, v in BONES.items()}, frames=3, at=(14, 50))
    object.__setattr__(own, "keypoints", poses[:, None])
    object.__setattr__(own, "background_mask", mask)
    found = person_of_clip(own).keypoints
    assert found is not None
    assert found[0, [10, 13], 0].mean() == pytest.approx(44, abs=6)
    assert found[0, [10, 13], 1].max() == pytest.approx(60 - 0.05 * 52, abs=1.5)
    assert np.array_equal(found[1:], poses[1:])


def test_joints_of_a_clip_that_are_not_finite_are_not_seen() -> None:
    own = clip(3, size=64)
    poses = walk({k: 0.25 * v for k, v in BONES.items()}, frames=3, at=(30, 50))
    unseen = poses.copy()
    unseen[1, 4] = unseen[2, 30] = 0
    poses[1, 4, 0] = poses[2, 30, 1] = np.nan
    made = []
    for points in (unseen, poses):
        object.__setattr__(own, "keypoints", points[:, None])
        own.info["keypoints"] = {"joint_set": "openpose_134"}
        made.append((person_of_clip(own), motion_of_clip(own), joints_of(own)[1]))
    (person_, motion_, joints), (other, moved, others) = made
    assert np.array_equal(person_.keypoints, other.keypoints)
    assert np.array_equal(motion_.keypoints, moved.keypoints)
    assert joints is not None
    assert np.array_equal(joints, others)


def test_a_clip_without_a_person_says_what_it_lacks() -> None:
    own = clip(3)
    object.__setattr__(own, "reference", None)
    with pytest.raises(GenerationError, match="has no reference: build with a mask"):
        person_of_clip(own)


def test_a_clip_whose_json_says_nothing_of_its_key_points_has_a_motion() -> None:
    own = clip(3)
    points = np.zeros((3, 1, 134, 3), np.float32)
    object.__setattr__(own, "keypoints", points)
    for said in (None, "openpose", {"min_score": None}, 10**400):
        own.info["keypoints"] = own.info["fps"] = said
        found = motion_of_clip(own)
        assert found.keypoints is not None
        assert (found.fps, found.min_score) == (25, 0.3)
    assert conditions_of(own).fps == 25


def test_what_does_not_fit_is_refused_unless_forced() -> None:
    back = motion(np.repeat(figure(BONES, turned=np.pi)[None], 10, 0))
    with pytest.raises(CannotRetargetError, match=r"driving.mp4 does not fit photo.png.*--force"):
        prepare(person(), back, size=32)
    _, placement = prepare(person(), back, size=32, force=True)
    assert len(placement.misfits) == 1


def test_nobody_known_and_drawings_alone_cannot_be_retargeted() -> None:
    with pytest.raises(GenerationError, match=r"no key points of the person.*--retarget none"):
        prepare(person(keypoints=None), motion(walk(BONES)), size=32)
    drawn = Motion(None, (64, 64), 25, "skeletons", np.full((9, 64, 64, 3), 200, np.uint8))
    with pytest.raises(GenerationError, match="joints are not known: use --retarget none"):
        prepare(person(), drawn, size=32, method="similarity")


def test_drawn_skeletons_lie_letterboxed_over_the_background() -> None:
    points = walk(BONES, at=(200, 300))
    drawn = draw_poses(Keypoints(points[:, None], OPENPOSE_134), (HEIGHT, WIDTH), "openpose")
    loose = Motion(None, (WIDTH, HEIGHT), 25, "skeletons", drawn)
    found, placement = prepare(person(), loose, size=64, frame="whole")
    _, exact = prepare(
        person(), motion(points, (WIDTH, HEIGHT)), size=64, method="none", frame="whole"
    )
    assert exact.keypoints is not None
    for image, joints in zip(found.skeletons, exact.keypoints[:, :18], strict=True):
        x, y = joints[:, :2].round().astype(int).T
        assert (image[y, x].max(-1) > 100).all()
    assert (found.skeletons.max(-1) > 60).mean() < 0.2
    assert placement.retarget["method"] == "none"


@pytest.mark.parametrize("shape", [(12, 134, 3), (12, 18, 3), (12, 2, 134, 3)])
def test_key_points_come_in_the_shapes_that_shards_and_others_keep(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    body = walk(BONES, frames=12)
    points = np.zeros(shape, np.float32)
    if len(shape) == 4:
        points[:, 0], points[:, 1] = body, body + 40
    else:
        points[:] = body[:, : shape[1]]
    points[3, ..., :] = np.nan
    np.save(tmp_path / "k.npy", points)
    found = trimmed(motion_of_keypoints(tmp_path / "k.npy", (WIDTH, HEIGHT), 50.0))
    assert found.keypoints is not None
    assert np.array_equal(found.keypoints[4, :18], body[4, :18])
    assert (found.keypoints[3, :, 2] == 0).all()
    assert found.fps == 50
    assert found.info["frames_without_person"] == 1
    assert found.info["not_finite"] > 0


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((5, 17, 3)), "not key points"),
        (np.zeros((5, 134, 3)), "nobody was seen"),
        (np.ones((5, 134, 3)) * -1e6, "nobody was seen"),
        (np.ones((5, 134, 3)) * [-1e6, 50, 1], "joints lie more than 20 times the picture's"),
        (np.ones((5, 134, 3)) * 0.5, "fractions of a picture"),
        (np.zeros((0, 134, 3)), "not key points"),
        (np.array([[{}]]), "cannot be read as key points"),
        (walk(BONES, frames=5) * (1 + 0j), r"k.npy holds complex.*: real numbers of shape"),
        (walk(BONES, frames=5) * [1, 1, 100], r"k.npy: scores reach \d+, and must be from 0 "),
    ],
)
def test_other_arrays_are_no_key_points(array: np.ndarray, reason: str, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", array, allow_pickle=True)
    with pytest.raises(GenerationError, match=reason):
        motion_of_keypoints(tmp_path / "k.npy", (WIDTH, HEIGHT), None)


def test_scores_a_little_beyond_1_are_taken(tmp_path: Path) -> None:
    """Of RTMPose's the surest are."""
    np.save(tmp_path / "k.npy", walk(BONES, frames=5) * [1, 1, 1.2])
    assert len(motion_of_keypoints(tmp_path / "k.npy", (WIDTH, HEIGHT), None)) == 5


Write = Callable[[Path, np.ndarray], Path]


def drawings(frames: int = 9, size: int = 96) -> np.ndarray:
    points = walk({k: 0.3 * v for k, v in BONES.items()}, frames=frames, at=(48, 90))
    return draw_poses(Keypoints(points[:, None], OPENPOSE_134), (size, size), "openpose")


def test_skeletons_are_read_in_the_order_of_their_numbers(
    tmp_path: Path, write_image: Write
) -> None:
    drawn = drawings(12)
    for number, image in enumerate(drawn):
        write_image(tmp_path / f"{number}.png", image)
    (tmp_path / "._0.png").write_text("of another system")
    found = motion_of_skeletons(tmp_path, None)
    assert np.array_equal(found.skeletons, drawn)
    assert found.fps == 25


@pytest.mark.parametrize("kind", ["images", "video"])
def test_only_the_skeletons_that_are_asked_for_are_read(
    kind: str, tmp_path: Path, write_image: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.mp4" if kind == "video" else tmp_path / "s"
    if kind == "video":
        with mp4_writer(path, 96, 96, 25, "x", None) as add:
            for image in drawings(12):
                add(image)
    else:
        for number, image in enumerate(drawings(12)):
            write_image(path / f"{number:02}.png", image)
    whole = motion_of_skeletons(path, None)
    monkeypatch.setattr("idol.generate.inputs.motion._MOST_PIXELS", 5 * 96 * 96 * 3)
    with pytest.raises(GenerationError, match=r"12 drawings of 96x96 take .*\(--frames\)"):
        motion_of_skeletons(path, None)
    config = GenerateConfig(photo="p.png", skeletons=path, out=tmp_path, start_frame=4, frames=5)
    found = read_motion(config, AnnotatorChoice(), (WIDTH, HEIGHT))
    assert whole.skeletons is not None
    assert np.array_equal(found.skeletons, whole.skeletons[4:9])
    assert (found.info["frames"], found.info["first_frame"]) == (12, 4)
    with pytest.raises(GenerationError, match="has 12 frames; --start-frame 12 is behind"):
        motion_of_skeletons(path, None, 12)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda image: 255 - image, "drawn on a bright background, not on black"),
        (lambda image: image * 0, "no skeleton is drawn"),
        (lambda image: image.max(-1, keepdims=True).repeat(3, -1), "drawn without colours"),
        (lambda image: np.maximum(image, 90), "these are no drawn skeletons"),
    ],
)
def test_other_drawings_are_refused(
    change: Callable[[np.ndarray], np.ndarray], reason: str, tmp_path: Path, write_image: Write
) -> None:
    for number, image in enumerate(drawings()):
        write_image(tmp_path / f"{number}.png", change(image))
    with pytest.raises(GenerationError, match=reason):
        motion_of_skeletons(tmp_path, None)


def test_skeletons_of_other_sizes_and_no_skeletons_are_refused(
    tmp_path: Path, write_image: Write
) -> None:
    with pytest.raises(GenerationError, match="holds no image"):
        motion_of_skeletons(tmp_path, None)
    write_image(tmp_path / "0.png", drawings()[0])
    write_image(tmp_path / "1.png", drawings(size=64)[0])
    with pytest.raises(GenerationError, match=r"1.png has 64x64 pixels, 0.png has 96x96"):
        motion_of_skeletons(tmp_path, None)


@pytest.mark.parametrize(
    ("text", "fps"), [("25", 25), ("29.97", 29.97), ("30000/1001", 29.97003), (" 60 ", 60)]
)
def test_frame_rates_are_numbers_or_fractions(text: str, fps: float) -> None:
    assert read_fps(text) == pytest.approx(fps, abs=1e-4)


@pytest.mark.parametrize("text", ["0", "-25", "nan", "inf", "1/0", "fast", "", "1e9"])
def test_other_frame_rates_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--fps"):
        read_fps(text)


def test_a_motion_at_another_rate_takes_as_long() -> None:
    points = np.zeros((31, 134, 3), np.float32)
    points[..., 0] = 10 * np.arange(31)[:, None]
    points[..., 2] = 1
    found = resampled(motion(points, fps=30), 24)
    assert len(found) == 25
    assert found.keypoints is not None
    assert np.allclose(found.keypoints[:, 0, 0], 12.5 * np.arange(25), atol=1e-3)
    assert found.info["resampled_from_fps"] == 30


def test_frames_that_came_unevenly_are_put_on_a_grid() -> None:
    points = np.ones((4, 134, 3), np.float32)
    points[:, :, 0] = np.array([0, 1, 5, 6])[:, None]
    found = resampled(motion(points, fps=10), 10, [2.0, 2.1, 2.5, 2.6])
    assert found.keypoints is not None
    assert np.allclose(found.keypoints[:, 0, 0], np.arange(7), atol=1e-4)


def test_frames_before_and_after_the_person_are_left_out_and_counted() -> None:
    points = walk(BONES, frames=10)
    points[:2, :, 2] = points[9:, :, 2] = points[5, :, 2] = 0
    found = trimmed(motion(points))
    assert len(found) == 7
    assert found.info["frames_before_the_person"] == 2
    assert found.info["frames_after_the_person"] == 1
    assert found.info["frames_without_person"] == 1


def test_frames_are_counted_from_the_files_first_one(tmp_path: Path) -> None:
    points = walk(BONES, frames=20)
    points[:8, :, 2] = 0
    np.save(tmp_path / "k.npy", points)
    config = GenerateConfig(
        photo="p.png", driving=str(tmp_path / "k.npy"), out=tmp_path, start_frame=6, frames=10
    )
    found = read_motion(config, AnnotatorChoice(), (WIDTH, HEIGHT))
    assert found.keypoints is not None
    assert np.array_equal(found.keypoints, points[8:16])
    assert (found.info["first_frame"], found.info["frames_before_the_person"]) == (6, 2)


def test_drawn_frames_are_counted_before_they_are_put_at_another_rate(tmp_path: Path) -> None:
    with mp4_writer(tmp_path / "s.mp4", 96, 96, 25, "x", None) as add:
        for frame in drawings(20):
            add(frame)
    drawn = motion_of_skeletons(tmp_path / "s.mp4", None).skeletons
    config = GenerateConfig(
        photo="p.png", skeletons=tmp_path / "s.mp4", out=tmp_path, start_frame=6, frames=10,
        fps="12.5",
    )  # fmt: skip
    found = read_motion(config, AnnotatorChoice(), (WIDTH, HEIGHT))
    assert drawn is not None
    assert found.skeletons is not None
    assert found.fps == 12.5
    assert np.array_equal(found.skeletons, drawn[6:16:2])


@pytest.mark.parametrize("fps", ["0", "1e400", "nan", "30/0", "1e-9"])
def test_what_is_no_rate_is_one_clear_line(fps: str) -> None:
    with pytest.raises(ConfigError, match="--fps"):
        read_fps(fps)


def test_the_box_of_a_motion_reaches_beyond_its_joints() -> None:
    points = figure(BONES)[None]
    seen = points[points[..., 2] > 0][:, :2]
    x0, y0, x1, y1 = box_of_motion(points, 0.3)
    size = (seen.max(0) - seen.min(0)).max()
    assert y0 == pytest.approx(seen[:, 1].min() - 0.1 * size, abs=0.01)
    assert (x1 - x0) == pytest.approx(np.ptp(seen[:, 0]) + 0.2 * size, abs=0.01)
    assert y1 > seen[:, 1].max()


def test_the_preview_is_a_picture_with_three_rows() -> None:
    driving = motion(walk(BONES, at=(100, 300)))
    conditions, placement = prepare(person(), driving, size=64)
    image = decode_image(preview_sheet(person(), driving, conditions, placement))
    assert image.shape[0] > 3 * 256
    assert image.shape[1] > 8 * 256


def test_the_preview_of_a_joint_far_astray_is_drawn_small(monkeypatch: pytest.MonkeyPatch) -> None:
    near = motion(walk(BONES, at=(100, 300), frames=1))
    _, placement = prepare(person(), near, size=64)
    far = replace(placement, box=(-9000, -20000, 3000, -8000))
    border, sizes = cv2.copyMakeBorder, []

    def watched(*given: Any, **options: Any) -> np.ndarray:
        made = border(*given, **options)
        sizes.append(max(made.shape))
        return made

    monkeypatch.setattr(cv2, "copyMakeBorder", watched)
    small, large = (_person(person(), where, "openpose")[2] for where in (placement, far))
    assert small.shape == large.shape
    assert max(sizes) <= 8192
    # The picture lies at the lower right, the output's square is drawn at the upper left.
    assert large[:4].max() > 200
    assert large[-2:, -100:].std() > 5


def test_a_square_that_memory_does_not_hold_is_refused() -> None:
    points = walk(BONES, at=(100, 300))
    points[0, 4, 0] = 30_000
    wide = person(background=np.zeros((20, 4000, 3), np.uint8))
    with pytest.raises(GenerationError, match="its key points are in other pixels, or astray"):
        prepare(wide, motion(points, (4000, 20)), size=64, method="none", force=True)


def test_the_preview_of_fewer_frames_than_tiles_of_the_person_holds_them_all() -> None:
    driving = motion(walk(BONES, at=(100, 300), frames=1))
    conditions, placement = prepare(person(), driving, size=64)
    image = decode_image(preview_sheet(person(), driving, conditions, placement))
    assert (image[:, -28:] == image[0, 0]).all()  # an empty margin: no tile is cut


# Photos and videos of people: the lite networks and the sample footage.
CHOICE = annotation({}).choice


def frame_of(path: Path, index: int) -> np.ndarray:
    (found,) = VideoFile(path).read([index])
    return found.rgb


@pytest.fixture
def photo(tmp_path: Path, footage: Callable[[str], Path], write_image: Write) -> Path:
    return write_image(tmp_path / "photo.png", frame_of(footage("cam01.mp4"), 20))


def test_a_raw_photo_is_cut_by_an_annotator(photo: Path) -> None:
    found = person_of_photo(photo, CHOICE)
    assert found.size == (1080, 1920)
    assert found.info["people"] == 1
    assert found.keypoints is not None
    assert found.keypoints.shape == (1, 134, 3)
    body = found.keypoints[0, :18]
    seen = body[body[:, 2] > 0.5, :2].round().astype(int)
    assert (found.background_mask[seen[:, 1], seen[:, 0]] > 127).mean() > 0.8
    assert 0.05 < (found.foreground_mask > 127).mean() < 0.6
    assert found.joints is not None
    x, y = found.joints[found.joints[:, 2] > 0, :2].round().astype(int).T
    assert len(x) > 12
    assert (found.foreground_mask[y, x] > 127).mean() > 0.8


def test_a_given_mask_is_taken_as_it_is_and_names_the_person(
    photo: Path, tmp_path: Path, write_image: Write
) -> None:
    found = person_of_photo(photo, CHOICE)
    mask = np.repeat(np.where(found.background_mask > 127, 255, 0)[..., None], 3, -1)
    path = write_image(tmp_path / "mask.png", mask.astype(np.uint8))
    again = person_of_photo(photo, CHOICE, mask=path)
    assert np.array_equal(again.background_mask, mask[..., 0])
    assert again.info["mask_from"] == "a file"
    assert again.keypoints is not None


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((8, 9, 3), np.uint8), "mask.png has 9x8 pixels, .*photo.png has 1080x1920"),
        (np.zeros((1920, 1080, 3), np.uint8), "is black"),
        (np.full((1920, 1080, 3), 255, np.uint8), "covers 100% of the photo"),
    ],
)
def test_other_masks_are_refused(
    mask: np.ndarray, reason: str, photo: Path, tmp_path: Path, write_image: Write
) -> None:
    with pytest.raises(GenerationError, match=reason):
        person_of_photo(photo, CHOICE, mask=write_image(tmp_path / "mask.png", mask))


def test_a_photo_without_a_person_is_refused(tmp_path: Path, write_image: Write) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    with pytest.raises(GenerationError, match="no person was found"):
        person_of_photo(write_image(tmp_path / "noise.png", noise), CHOICE)


def test_of_several_people_one_is_asked_for(
    tmp_path: Path, footage: Callable[[str], Path], write_image: Write
) -> None:
    frame = frame_of(footage("cam01.mp4"), 20)[300:1400, 200:]
    small = np.zeros_like(frame)
    half = frame[::2, ::2]
    small[: half.shape[0], : half.shape[1]] = half
    both = write_image(tmp_path / "two.png", np.concatenate([small, frame], axis=1))
    largest = person_of_photo(both, CHOICE)
    assert largest.info["people"] >= 2
    second = person_of_photo(both, annotation({"person": "2"}).choice)
    assert largest.info["box"][0] > frame.shape[1] / 2 > second.info["box"][0]
    with pytest.raises(GenerationError, match="--person 9 asks for"):
        person_of_photo(both, annotation({"person": "9"}).choice)


def test_another_background_takes_the_person_as_they_stand_in_the_photo(
    photo: Path, tmp_path: Path, write_image: Write
) -> None:
    place = write_image(tmp_path / "place.png", np.full((540, 960, 3), 80, np.uint8))
    alone, there = person_of_photo(photo, CHOICE), person_of_photo(photo, CHOICE, background=place)
    assert there.size == (960, 540)
    assert not there.background_mask.any()
    assert alone.keypoints is not None
    assert there.keypoints is not None
    scale = 540 / 1920
    assert np.allclose(
        there.keypoints[0, :18, 1] + 0.5, (alone.keypoints[0, :18, 1] + 0.5) * scale, atol=0.01
    )
    assert np.array_equal(alone.foreground, there.foreground)


def test_where_a_background_is_transparent_it_is_hole(tmp_path: Path, write_image: Write) -> None:
    rgba = np.full((60, 90, 4), 80, np.uint8)
    rgba[..., 3] = 255
    rgba[:20, :, 3] = 0
    exif = Image.Exif()
    exif[0x112] = 3  # upside down
    Image.fromarray(rgba).save(tmp_path / "place.png", exif=exif)
    mask = write_image(tmp_path / "mask.png", np.zeros((60, 90, 3), np.uint8))
    there = _before(person(), tmp_path / "place.png", None)
    assert np.array_equal(np.unique(there.background_mask[40:]), [255])
    assert not there.background_mask[:40].any()
    assert np.array_equal(np.unique(there.background[:40]), [80])
    assert not _before(person(), tmp_path / "place.png", mask).background_mask.any()


def test_a_driving_video_is_annotated_at_its_own_rate(footage: Callable[[str], Path]) -> None:
    found = motion_of_video(footage("cam01.mp4"), CHOICE, start=10, frames=12)
    assert found.size == (1080, 1920)
    assert found.fps == 60
    assert found.keypoints is not None
    assert found.keypoints.shape == (12, 134, 3)
    body = found.keypoints[:, :18]
    assert (body[..., 2] > 0.3).mean() > 0.8
    assert np.abs(np.diff(body[:, 1, :2], axis=0)).max() < 20  # the neck moves smoothly
    assert found.info["first_frame"] == 10
    assert {*found.frames} <= set(range(12))
    half = resampled(found, 30)
    assert (len(half), half.fps) == (6, 30)


def test_a_folder_of_a_videos_frames_is_annotated_as_the_video_is(
    tmp_path: Path, footage: Callable[[str], Path], write_image: Write
) -> None:
    frames = [f.rgb for f in VideoFile(footage("cam01.mp4")).read(range(10, 18))]
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, rgb in enumerate(frames, 95):  # 95.png to 102.png: 100 does not come first
        write_image(folder / f"f{number}.png", rgb)
    (folder / "notes.txt").write_text("")
    (folder / "._f95.png").write_text("of another system")
    found = motion_of_video(folder, CHOICE, fps=60)
    video = motion_of_video(footage("cam01.mp4"), CHOICE, start=10, frames=8)
    assert found.keypoints is not None
    assert found.keypoints == pytest.approx(video.keypoints, abs=0.2)  # the survey sees others
    assert (found.fps, found.size, found.name) == (60, video.size, "frames")
    assert found.info["fps_from"] == "--fps"

    (folder / "f98.png").unlink()  # a number that is missing is a frame that was left out
    write_image(folder / "f099.png", frames[4])
    write_image(folder / "f102.png", frames[7][:-2])
    again = motion_of_video(folder, CHOICE)
    assert again.keypoints is not None
    assert len(again) == 7  # 95 to 101
    assert again.fps == 25
    assert again.info["shots_left_out"] == [{"first": 6, "last": 6, "ends": "end"}]
    assert "f99 left out, whose number f099 has" in again.info["faults"][0]

    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("")
    with pytest.raises(GenerationError, match="texts holds no image"):
        motion_of_video(tmp_path / "texts", CHOICE)


def test_videos_without_people_and_of_one_frame_are_refused(
    tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    with pytest.raises(GenerationError, match=r"no person was found in its 9 frames"):
        motion_of_video(make_video(tmp_path / "bars.mp4", 9), CHOICE)
    with pytest.raises(GenerationError, match="has one frame"):
        motion_of_video(make_video(tmp_path / "one.mp4", 1), CHOICE)
    with pytest.raises(GenerationError, match="--start-frame 9 is behind"):
        motion_of_video(tmp_path / "bars.mp4", CHOICE, start=9)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(GenerationError, match="cannot be read as a video"):
        motion_of_video(tmp_path / "text.mp4", CHOICE)
