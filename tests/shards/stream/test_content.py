"""What is in a sample: decoded exactly, augmented all alike, cut by the paper's rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from shards.dataset import open_for_build
from shards.errors import BadSample
from shards.reader import open_dataset
from shards.sample.codec import encode_clip
from shards.sample.colormap import depth_to_hot
from shards.sample.keypoints import COCO_18, Keypoints
from shards.sample.posed import lay_over
from shards.sample.skeleton import draw_poses
from shards.stream import ClipSample, ClipStream
from shards.stream.foreground import MID_GREY, holed, widen
from shards.stream.geometry import Geometry, draw_geometry
from shards.stream.random import Draws
from shards.writer import commit_shard
from tests.shards.stream.conftest import full_clip

SIZE = 64


def samples(stream: Iterable) -> list[ClipSample]:
    return list(stream.samples())


def test_all_that_is_there_is_decoded_by_default(full: Path) -> None:
    dataset = open_dataset(full)
    for sample in ClipStream(full, frames=4).samples():
        clip = dataset.read(sample.key, frames=sample.frame_indices.tolist())
        np.testing.assert_array_equal(sample.rgb, clip.rgb)
        np.testing.assert_array_equal(sample.mask, clip.mask)
        np.testing.assert_array_equal(sample.pose, clip.pose)
        np.testing.assert_array_equal(sample.depth, depth_to_hot(clip.depth_person))
        np.testing.assert_array_equal(sample.foreground, clip.reference)
        np.testing.assert_array_equal(sample.foreground_mask, clip.reference_mask)
        np.testing.assert_array_equal(sample.background_mask, clip.background_mask)


def test_depth_of_the_frame_is_grey_rounded_to_8_bits(full: Path) -> None:
    dataset = open_dataset(full)
    for sample in ClipStream(full, depth="frame", modalities=["depth"]).samples():
        clip = dataset.read(sample.key, frames=sample.frame_indices.tolist())
        expected = (clip.depth_frame * 255 + 0.5).astype(np.uint8)
        assert sample.depth.shape == (8, SIZE, SIZE, 3)
        np.testing.assert_allclose(sample.depth[..., 0].astype(int), expected, atol=1)
        assert (sample.depth == sample.depth[..., :1]).all()


def test_only_what_is_asked_for_is_decoded(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    imdecode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *a: (decoded.append(1), imdecode(*a))[1])
    one = next(ClipStream(full, frames=4, modalities=["mask"]).samples())
    assert len(decoded) == 4 + 4  # rgb always comes along
    assert (one.pose, one.depth, one.foreground) == (None, None, None)


def test_the_background_is_its_own_image_with_a_mid_grey_hole(full: Path) -> None:
    dataset = open_dataset(full)
    for sample in ClipStream(full).samples():
        clip = dataset.read(sample.key)
        person = clip.background_mask > 127
        assert (sample.background[person] == MID_GREY).all()
        np.testing.assert_array_equal(sample.background[~person], clip.background[~person])


def test_a_filled_hole_continues_what_surrounds_it(full: Path) -> None:
    """Nothing in it is the person's, not even its outline; beyond its border nothing changes."""
    dataset = open_dataset(full)
    for sample in ClipStream(full, hole="filled").samples():
        clip = dataset.read(sample.key)
        known = cv2.dilate(clip.background_mask, np.ones((3, 3), np.uint8)) < 13
        np.testing.assert_array_equal(sample.background[known], clip.background[known])
        # The place is a ramp to the right, and one downwards.
        ramp = np.linspace(0, 255, SIZE)
        off = sample.background[..., 0] - ramp, sample.background[..., 1] - ramp[:, None]
        assert np.abs(off).max() < 40
        assert np.abs(off).mean() < 5
    with pytest.raises(ValueError, match="'white' is not one of grey, filled"):
        ClipStream(full, hole="white")  # type: ignore[arg-type]


def test_the_border_of_a_filled_hole_is_soft_and_nothing_is_made_of_nothing() -> None:
    image = np.full((128, 128, 3), 50, np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    mask[40:80, 40:80] = 255
    mask[39, 40:80] = 20
    image[widen(mask, 1) > 0] = 250  # the person's colours reach beyond
    assert np.abs(holed(image, mask, "filled").astype(int) - 50).max() <= 5
    everywhere = holed(image, np.full_like(mask, 255), "filled")
    assert (everywhere == MID_GREY).all()
    np.testing.assert_array_equal(holed(image, np.zeros_like(mask), "filled"), image)


def test_the_hole_of_pre_training_is_filled_too(full: Path) -> None:
    for cut in ("hap", "haop"):
        stream = ClipStream(full, frames=1, cut=cut, hole="filled")  # type: ignore[arg-type]
        for sample in stream.samples():
            hole = sample.background_mask == 255
            assert hole.any()
            assert not (sample.background[hole] == MID_GREY).all(-1).any()


def test_a_crop_moves_the_background_with_the_frames_and_not_the_foreground(full: Path) -> None:
    """The foreground is mirrored with the rest, and no more."""
    dataset = open_dataset(full)
    mirrored = []
    for sample in ClipStream(full, frames=1, crop_area=(0.5, 0.6), mirror=0.5).samples():
        clip = dataset.read(sample.key, frames=sample.frame_indices.tolist())
        turn = slice(None, None, -1 if sample.foreground[0, 0, 2] > 127 else 1)
        mirrored.append(turn.step)
        np.testing.assert_array_equal(sample.foreground, clip.reference[:, turn])
        np.testing.assert_array_equal(sample.foreground_mask, clip.reference_mask[:, turn])
        # Both are the same ramps, to JPEG's loss: pixel by pixel, where there is no hole.
        place = sample.background_mask == 0
        moved = sample.background.astype(int) - sample.rgb[0]
        assert np.abs(moved[place]).max() <= 6
        assert np.ptp(sample.rgb[0][..., 0]) < 220
        assert (sample.background[sample.background_mask == 255] == MID_GREY).all()
    assert set(mirrored) == {1, -1}


@pytest.mark.parametrize("lacking", ["reference", "background", "background_mask"])
def test_a_clip_without_one_of_the_parts_is_one_clear_error(
    tmp_path: Path, full: Path, lacking: str
) -> None:
    clip = replace(open_dataset(full).read("videos-walk-0"), **{lacking: None})
    commit_shard(tmp_path, "train", 0, [(clip.key, encode_clip(clip))])
    assert samples(ClipStream(tmp_path))[0].foreground is None
    with pytest.raises(BadSample, match=rf"sample videos-walk-0: has no {lacking}; build with it"):
        ClipStream(tmp_path, modalities=["reference"])


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a mask's person, exclusive."""
    ys, xs = np.nonzero(mask > 127)
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def ramp(image: np.ndarray) -> tuple[float, float]:
    """Where on the ramp of `full_clip`, from left to right, an image begins and ends, in pixels."""
    columns = image[..., 0].astype(float).mean(0) / 255 * (SIZE - 1)
    return columns[0], columns[-1]


def test_hap_rebuilds_the_image_from_its_exact_parts(full: Path) -> None:
    for sample in ClipStream(full, frames=1, cut="hap").samples():
        person = sample.mask[0] > 127
        np.testing.assert_array_equal(sample.background_mask, sample.mask[0])
        np.testing.assert_array_equal(sample.background[~person], sample.rgb[0][~person])
        assert (sample.background[person] == MID_GREY).all()
        # The person is 32 pixels high, 16 wide: the square around it has 1.2 * 32.
        x0, _, x1, _ = box_of(sample.mask[0])
        low = np.clip((x0 + x1) / 2 - 19.2, 0, SIZE - 38.4)
        begins, ends = ramp(sample.foreground)
        np.testing.assert_allclose((begins, ends + 1), (low, low + 38.4), atol=0.8)
        x0, y0, x1, y1 = box_of(sample.foreground_mask)
        np.testing.assert_allclose((y0, y1), (SIZE / 12, SIZE * 11 / 12), atol=1)
        assert abs((x1 - x0) - SIZE / 2.4) <= 1


def test_pre_training_takes_nothing_of_the_reference(tmp_path: Path, full: Path) -> None:
    """Which may be another frame: all is one frame's, and shards without a reference will do."""
    clip = open_dataset(full).read("videos-walk-0")
    gone = dict.fromkeys(("reference", "reference_mask", "background", "background_mask"))
    for root, kept in (("with", clip), ("without", replace(clip, **gone))):
        commit_shard(tmp_path / root, "train", 0, [(kept.key, encode_clip(kept))])
    for cut in ("hap", "haop"):
        options = {"frames": 1, "cut": cut, "modalities": ["reference"], "mirror": 0.5}
        one, two = (
            next(ClipStream(tmp_path / root, **options).samples()) for root in ("with", "without")
        )
        assert set(one.arrays) == set(two.arrays) > {"foreground", "background"}
        for name, array in one.arrays.items():
            np.testing.assert_array_equal(array, two[name])


def test_a_moved_image_of_pre_training_keeps_its_whole_foreground(full: Path) -> None:
    """A random crop cuts the target; the foreground is mirrored alone."""
    flipped = 0
    for sample in ClipStream(
        full, frames=1, cut="hap", crop_area=(0.3, 0.4), mirror=0.5, endless=False
    ).samples():
        begins, ends = ramp(sample.foreground)
        flipped += begins > ends
        assert 37 < abs(begins - ends) + 1 < 40
        assert (sample.foreground_mask > 127).mean() > 0.3
        place = sample.background_mask == 0
        np.testing.assert_array_equal(sample.background[place], sample.rgb[0][place])
    assert 0 < flipped < 5


def test_without_a_person_the_foreground_is_the_whole_image(tmp_path: Path, full: Path) -> None:
    clip = open_dataset(full).read("videos-walk-0")
    empty = replace(clip, mask=np.zeros_like(clip.mask))
    commit_shard(tmp_path, "train", 0, [(clip.key, encode_clip(empty))])
    [sample] = samples(ClipStream(tmp_path, frames=1, cut="hap"))
    np.testing.assert_array_equal(sample.foreground, sample.rgb[0])
    np.testing.assert_array_equal(sample.background, sample.rgb[0])


def test_haop_widens_the_hole_and_crops_the_foreground(full: Path) -> None:
    stream = ClipStream(full, frames=1, cut="haop", endless=True)
    widened, kept = [], []
    for sample, _ in zip(stream.samples(), range(60), strict=False):
        mask, hole = sample.mask[0] > 127, sample.background_mask > 127
        assert (hole | ~mask).all()
        assert (sample.background[hole] == MID_GREY).all()
        np.testing.assert_array_equal(sample.background[~hole], sample.rgb[0][~hole])
        rows = np.flatnonzero(hole.any(1))
        widened.append(np.flatnonzero(mask.any(1))[0] - rows[0])
        # How much is left of the square around the person, 38.4 pixels wide.
        begins, ends = ramp(sample.foreground)
        kept.append((ends - begins) / 38.4)
    # Discs of 5 to 31 pixels at 256 reach 2 to 15 pixels to each side, a quarter of that at 64.
    assert (min(widened), max(widened)) == (1, 4)
    assert 0.5**0.5 - 0.05 < min(kept) < 0.8
    assert max(kept) > 0.95


def test_pre_training_needs_the_mask_and_repeats_with_the_seed(full: Path) -> None:
    one, two = (samples(ClipStream(full, frames=1, cut="haop")) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.foreground, b.foreground)
        np.testing.assert_array_equal(a.background_mask, b.background_mask)


def test_a_mirror_image_is_that_of_every_image(full: Path) -> None:
    plain = samples(ClipStream(full))
    mirrored = samples(ClipStream(full, mirror=1.0))
    dataset = open_dataset(full)
    for one, two in zip(plain, mirrored, strict=True):
        assert one.key == two.key
        for name in ("rgb", "mask", "depth"):
            np.testing.assert_array_equal(getattr(one, name)[:, :, ::-1], getattr(two, name))
        for name in ("foreground", "foreground_mask", "background", "background_mask"):
            np.testing.assert_array_equal(getattr(one, name)[:, ::-1], getattr(two, name))
        points = dataset.read(one.key, frames=one.frame_indices.tolist()).keypoints
        flipped = Keypoints(points, COCO_18).flipped(SIZE)
        np.testing.assert_array_equal(two.pose, draw_poses(flipped, (SIZE, SIZE), "openpose"))
        # Left and right have their own colours: the mirrored image would be wrong.
        assert (two.pose != one.pose[:, :, ::-1]).any()


def test_a_crop_moves_images_and_key_points_alike() -> None:
    size, at = 101, (60, 40)  # a white pixel at x = 60, y = 40
    for geometry in (Geometry(0.3, 0.1, 0.6), Geometry(0.3, 0.1, 0.6, mirrored=True)):
        image = np.zeros((size, size), np.uint8)
        image[at[1] - 1 : at[1] + 2, at[0] - 1 : at[0] + 2] = 255
        geometry.apply(image)
        ys, xs = np.nonzero(image > 127)
        expected = geometry.affine(size, size) @ [*at, 1]
        np.testing.assert_allclose((xs.mean(), ys.mean()), expected, atol=0.51)


def test_cropped_depth_keeps_to_the_hot_line_and_the_skeleton_its_width(full: Path) -> None:
    colours = {tuple(c) for c in depth_to_hot(np.array([[0.5, 1.0]], np.float32))[0].tolist()}
    for sample in ClipStream(full, crop_area=(0.4, 0.6)).samples():
        assert {tuple(c) for c in sample.depth.reshape(-1, 3).tolist()} <= colours
        assert sample.pose.any()
        assert sample.rgb.shape == (8, SIZE, SIZE, 3)


def test_crops_stay_in_the_image_and_have_the_area_asked_for() -> None:
    for i in range(300):
        drawn = draw_geometry(Draws(i), (0.25, 0.5), 0.5)
        assert 0.25 <= drawn.side**2 <= 0.5
        assert 0 <= min(drawn.x, drawn.y) <= max(drawn.x, drawn.y) <= 1 - drawn.side


def test_augmentation_does_not_depend_on_ranks(full: Path) -> None:
    options = {"crop_area": (0.5, 1.0), "mirror": 0.5}
    alone = samples(ClipStream(full, **options))
    ranks = [samples(ClipStream(full, rank=r, world_size=2, **options)) for r in range(2)]
    for sample in ranks[0] + ranks[1]:
        twin = next(s for s in alone if s.key == sample.key)
        np.testing.assert_array_equal(sample.rgb, twin.rgb)
        np.testing.assert_array_equal(sample.pose, twin.pose)


def test_without_named_joints_a_skeleton_cannot_be_moved(tmp_path: Path, full: Path) -> None:
    clip = open_dataset(full).read("videos-walk-0")
    clip = replace(clip, info={k: v for k, v in clip.info.items() if k != "keypoints"})
    commit_shard(tmp_path, "train", 0, [(clip.key, encode_clip(clip))])
    assert samples(ClipStream(tmp_path))[0].pose.any()
    with pytest.raises(BadSample, match=r"videos-walk-0: its json has no joint set"):
        samples(ClipStream(tmp_path, mirror=1.0))


def scored(root: Path, scores: object) -> Path:
    """A clip of nine frames with these scores of its depth, and a whole one after it."""
    bad = full_clip("a", seed=1)
    told = {"depth": {"depth_person": {"scores": scores}}}
    good = replace(
        full_clip("b"), info={**bad.info, "depth": {"depth_person": {"scores": [1] * 9}}}
    )
    build = open_for_build(root, {})
    clips = [replace(bad, info={**bad.info, **told}), good]
    commit_shard(root, "train", 0, [(c.key, encode_clip(c)) for c in clips])
    build.finish({"train": 1})
    return root


def test_scores_of_depth_come_with_their_frames(tmp_path: Path) -> None:
    root = scored(tmp_path / "d", [15 * n / 255 for n in range(9)])
    stream = ClipStream(root, frames=3, modalities=["depth", "depth_scores"], max_frame_step=3)
    found = {sample.key: sample for sample in stream.samples()}
    numbers = found["a"].frame_indices
    np.testing.assert_array_equal(found["a"]["depth_scores"], 15 * numbers)
    assert found["a"]["depth_scores"].dtype == np.uint8
    assert found["b"]["depth_scores"].tolist() == [255] * 3
    assert "depth_scores" not in next(ClipStream(root, frames=3).samples()).arrays


@pytest.mark.parametrize("scores", [None, [1] * 8, [2] * 9, ["x"] * 9])
def test_a_clip_whose_depth_has_no_scores_is_none_where_they_are_asked_for(
    tmp_path: Path, scores: object
) -> None:
    root = scored(tmp_path / "d", scores)
    stream = ClipStream(root, frames=3, modalities=["depth_scores"])
    found = list(stream.samples())
    assert {sample.key for sample in found} == {"b"}
    lines = [line for sample in found for line in sample.skipped]
    assert "score in [0, 1]" in lines[0]


def posed(root: Path) -> Path:
    """Two clips; the json of the first alone tells where its foreground's joints are."""
    build = open_for_build(root, {})
    one, other = full_clip("a", seed=1), full_clip("b", seed=2)
    joints = np.random.default_rng(3).uniform(10, 54, (18, 3)).round(2)
    joints[:, 2] = 1
    told = replace(one, info={**one.info, "reference": {"joints": joints.tolist()}})
    commit_shard(root, "train", 0, [(clip.key, encode_clip(clip)) for clip in (told, other)])
    build.finish({"train": 1})
    return root


@pytest.mark.parametrize(
    "geometry", [Geometry(), Geometry(mirrored=True), Geometry(0.2, 0.1, 0.7, mirrored=True)]
)
def test_the_foreground_is_posed_over_the_background_as_it_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, geometry: Geometry
) -> None:
    root = posed(tmp_path / "d")
    monkeypatch.setattr("shards.stream.fill.draw_geometry", lambda *_: geometry)
    wanted = ["posed", "posed_depth", "reference"]
    stream = ClipStream(root, modalities=wanted, hole="filled", mirror=0.5)
    sample = next(s for s in stream.samples() if s.key == "a")
    clip = open_dataset(root).read("a", frames=sample.frame_indices.tolist())
    poses = Keypoints(clip.keypoints, COCO_18).transformed(
        replace(geometry, mirrored=False).affine(SIZE, SIZE)
    )
    own = np.array(clip.info["reference"]["joints"], np.float32)[None, None]
    joints = Keypoints(own, COCO_18)
    if geometry.mirrored:
        poses, joints = poses.flipped(SIZE), joints.flipped(SIZE)
    depth = np.empty((len(clip.keypoints), SIZE, SIZE), np.float32)
    expected = lay_over(
        sample.background,
        sample.foreground,
        sample.foreground_mask,
        joints.points[0, 0],
        poses.points[:, 0],
        depth=depth,
    )
    np.testing.assert_array_equal(sample["posed"], expected)
    np.testing.assert_array_equal(sample["posed_depth"], depth_to_hot(depth))
    assert ((depth < 1).any(axis=(1, 2)) & (depth == 1).any(axis=(1, 2))).all()
    assert (sample["posed"] != sample.background).any(axis=(1, 2, 3)).all()


def test_a_clip_that_does_not_tell_its_foregrounds_joints_is_none_where_they_are_needed(
    tmp_path: Path,
) -> None:
    root = posed(tmp_path / "d")
    found = list(ClipStream(root, modalities=["posed", "reference"]).samples())
    assert {sample.key for sample in found} == {"a"}
    assert "does not say where the foreground's joints are" in found[1].skipped[0]
    assert {sample.key for sample in ClipStream(root, modalities=["reference"]).samples()} == {
        *"ab"
    }


def test_what_is_posed_is_made_of_the_reference(full: Path) -> None:
    with pytest.raises(ValueError, match="ask for reference too"):
        ClipStream(full, modalities=["posed"])
    with pytest.raises(ValueError, match="ask for reference too"):
        ClipStream(full, modalities=["posed", "reference"], cut="hap", frames=1)
    with pytest.raises(ValueError, match="ask for posed too"):
        ClipStream(full, modalities=["posed_depth", "reference"])
    with pytest.raises(ValueError, match="depth of the person"):
        ClipStream(full, modalities=["posed_depth", "posed", "reference"], depth="frame")
