"""Sets of clips: what lies where, and one clear error for each thing that is wrong with them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.evaluate.clips import ClipSet, paired
from idol.evaluate.errors import EvaluationError
from idol.evaluate.folders import open_folder, with_depth
from idol.evaluate.protocols import protocol
from idol.evaluate.score import _is_short
from idol.evaluate.shard_clips import open_shards
from idol.evaluate.snippets import Cutter
from idol.evaluate.swapped import check_swapped, thumbnail
from tests.idol.evaluate.made import (
    dataset,
    depth,
    frames,
    person,
    shard_clip,
    write_depth,
    write_folder,
)
from tests.idol.train.micro import write_shards


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """Two clips, generated and true."""
    for side in ("generated", "reference"):
        for seed, name in enumerate(("a", "b")):
            write_folder(tmp_path / side / name, frames(seed), depth())
    return tmp_path / "generated", tmp_path / "reference"


def fit(generated: Path, reference: Path, *, resize: bool = False) -> ClipSet:
    ours, truth = (open_folder(path, videos=False) for path in (generated, reference))
    paired(ours, truth, other_size="opencv-bilinear" if resize else "error")
    return ours


def test_a_folder_of_frames_is_read_as_it_was_written(both: tuple[Path, Path]) -> None:
    clip = fit(*both).clips["a"]
    read = clip.read()
    assert np.array_equal(read.frames, frames(0))
    assert read.depth is not None
    assert np.array_equal(read.depth, depth())
    assert clip.has == {"depth"}
    assert (clip.video, clip.numbers, clip.size) == ("a", tuple(range(8)), (32, 32))


def test_depth_pictures_are_grey_or_hot(tmp_path: Path) -> None:
    from shards.sample.colormap import depth_to_hot

    write_folder(tmp_path / "rgb" / "a", frames(0))
    write_depth(tmp_path / "grey" / "a", depth())
    for number, one in enumerate(depth()):
        file = tmp_path / "hot" / "a" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), depth_to_hot(one)[..., ::-1])
    clips = open_folder(tmp_path / "rgb", videos=False)
    for kind, within in (("grey", 1e-5), ("hot", 7.6e-4)):
        read = with_depth(clips, tmp_path / kind).clips["a"].read().depth
        assert read is not None
        assert np.abs(read - depth()).max() < within


@pytest.mark.parametrize("colours", ["VIRIDIS", "JET", "TURBO", "MAGMA", "INFERNO", "PLASMA"])
def test_depth_in_other_colours_than_hot_is_refused(tmp_path: Path, colours: str) -> None:
    write_folder(tmp_path / "a", frames(0, count=1))
    (tmp_path / "a" / "depth").mkdir()
    file = tmp_path / "a" / "depth" / "0.png"
    grey = np.rint(depth(1)[0] * 255).astype(np.uint8)
    cv2.imwrite(str(file), cv2.applyColorMap(grey, getattr(cv2, f"COLORMAP_{colours}")))
    clip = open_folder(tmp_path, videos=False).clips["a"]
    with pytest.raises(EvaluationError, match=r"0.png: is in other colours than those of `hot`"):
        clip.read()


@pytest.mark.parametrize("damage", ["noise", "blur", "jpeg"])
def test_hot_depth_as_models_make_it_is_read(tmp_path: Path, damage: str) -> None:
    """Noise and soft edges of colours, mixtures that lie off the line of `hot`."""
    from shards.sample.colormap import depth_to_hot

    write_folder(tmp_path / "a", frames(0, count=1, size=64))
    (tmp_path / "a" / "depth").mkdir()
    hot = depth_to_hot(depth(1, size=64)[0])[..., ::-1]
    if damage == "noise":
        hot = hot + np.random.default_rng(0).normal(0, 12, hot.shape)
    elif damage == "blur":
        hot = cv2.GaussianBlur(hot, (0, 0), 3)
    file = tmp_path / "a" / "depth" / f"0.{'jpg' if damage == 'jpeg' else 'png'}"
    image = np.clip(hot, 0, 255).astype(np.uint8)
    cv2.imwrite(str(file), image, [cv2.IMWRITE_JPEG_QUALITY, 20])
    read = open_folder(tmp_path, videos=False).clips["a"].read().depth
    assert read is not None
    assert np.abs(read - depth(1, size=64)).mean() < 0.05


@pytest.mark.parametrize("what", ["depth", "mask"])
def test_pictures_of_other_frames_are_refused(tmp_path: Path, what: str) -> None:
    """As many as there are frames, but one is lacking among them and all after it are shifted."""
    write_folder(tmp_path / "a", frames(0), first=1)
    write_depth(tmp_path / "a" / what, depth())
    clip = open_folder(tmp_path, videos=False).clips["a"]
    assert clip.read()
    (tmp_path / "a" / what / "0004.png").rename(tmp_path / "a" / what / "0008.png")
    said = rf"a/{what}: 8 {what} pictures of 8 frames \(lacking: 4\)"
    with pytest.raises(EvaluationError, match=said):
        clip.read()
    (tmp_path / "a" / what / "0008.png").rename(tmp_path / "a" / what / "03.png")
    with pytest.raises(EvaluationError, match="are both frame 3"):
        clip.read()
    shutil.rmtree(tmp_path / "a" / what)
    (tmp_path / "a" / what).mkdir()
    with pytest.raises(EvaluationError, match=rf"a/{what}: has no .png"):
        clip.read()


def test_depth_apart_is_of_the_same_frames(tmp_path: Path) -> None:
    for kind, missing in (("rgb", 4), ("depth", 6), ("right", 4)):
        (tmp_path / kind).mkdir()
        for number in range(1, 9):
            if number != missing:
                cv2.imwrite(str(tmp_path / kind / f"v_{number:04d}.png"), frames(0)[0][..., 0])
    clips = open_folder(tmp_path / "rgb", videos=False)
    assert with_depth(clips, tmp_path / "right").clips["v"].read().depth is not None
    with pytest.raises(EvaluationError, match=r"7 depth pictures of 7 frames \(lacking: 6\)"):
        with_depth(clips, tmp_path / "depth")


def test_frames_of_all_videos_in_one_folder_are_told_apart_by_name(tmp_path: Path) -> None:
    for video in ("TiktokDance_00337", "TiktokDance_201_002_1x1"):
        for number in (10, 11, 13):
            cv2.imwrite(str(tmp_path / f"{video}_{number:04d}.png"), frames(0)[0])
    clips = open_folder(tmp_path, videos=False).clips
    assert {n: c.numbers for n, c in clips.items()} == {
        "TiktokDance_00337": (10, 11, 13),
        "TiktokDance_201_002_1x1": (10, 11, 13),
    }


def test_a_snippet_is_named_after_its_first_frame(tmp_path: Path) -> None:
    for first in (1, 9):
        folder = tmp_path / f"TiktokDance_00337_{first:04d}"
        folder.mkdir()
        for number in range(first, first + 2):
            cv2.imwrite(str(folder / f"TiktokDance_00337_{number:04d}.png"), frames(0)[0])
    clips = open_folder(tmp_path, videos=False).clips
    assert {clip.video for clip in clips.values()} == {"TiktokDance_00337"}
    assert len(clips) == 2


def test_shards_are_read_with_their_video_and_depth(tmp_path: Path) -> None:
    clips = open_shards(str(dataset(tmp_path)), None, None).clips
    clip = clips["videos-v1-8"]
    assert (clip.video, clip.numbers, clip.size) == ("v1", tuple(range(8, 16)), (32, 32))
    read = clip.read()
    assert clip.has == {"depth", "mask", "keypoints"}
    assert read.mask is not None
    assert read.depth_kind == "person"
    assert np.abs(read.depth - depth()).max() < 1e-3
    assert len(clips) == 6
    assert len(open_shards(str(tmp_path), "train", None, limit=1).clips) == 1
    with pytest.raises(EvaluationError, match="has no depth_frame"):
        open_shards(str(tmp_path), None, "frame")


def _lack_a_frame(generated: Path) -> None:
    (generated / "a" / "0003.png").unlink()


def _lack_the_last_frame(generated: Path) -> None:
    (generated / "a" / "0007.png").unlink()


def _another_size(generated: Path) -> None:
    cv2.imwrite(str(generated / "a" / "0003.png"), np.zeros((40, 32, 3), np.uint8))


def _all_another_size(generated: Path) -> None:
    write_folder(generated / "a", frames(0, size=40))


def _lack_a_clip(generated: Path) -> None:
    shutil.rmtree(generated / "b")


def _one_clip_more(generated: Path) -> None:
    shutil.copytree(generated / "b", generated / "c")


def _empty(generated: Path) -> None:
    shutil.rmtree(generated)
    generated.mkdir()


def _empty_clip(generated: Path) -> None:
    shutil.rmtree(generated / "a")
    (generated / "a").mkdir()


def _gone(generated: Path) -> None:
    shutil.rmtree(generated)


def _videos(generated: Path) -> None:
    shutil.rmtree(generated)
    generated.mkdir()
    (generated / "a.mp4").write_bytes(b"")


def _twice(generated: Path) -> None:
    shutil.copy(generated / "a" / "0003.png", generated / "a" / "3.png")


def _cut_short(generated: Path) -> None:
    (generated / "a" / "0003.png").write_bytes(b"")


def _mixed(generated: Path) -> None:
    shutil.copy(generated / "a" / "0003.png", generated)


def _webp(generated: Path) -> None:
    shutil.rmtree(generated)
    generated.mkdir()
    (generated / "0001.webp").write_bytes(b"x")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_lack_a_frame, "a frame is missing between 0002.png and 0004.png"),
        (_lack_the_last_frame, r"a: 7 frames, the reference has 8 \(lacking: 7\)"),
        (_another_size, "0003.png: is 32x40, the other frames are 32x32"),
        (_all_another_size, "a: frames are 40x40, the reference's 32x32"),
        (_lack_a_clip, "clip b is not there"),
        (_one_clip_more, "clip c is none of the reference's"),
        (_empty, "generated: has no frames; give a folder"),
        (_empty_clip, "generated/a: is empty"),
        (_gone, "generated: is no folder"),
        (_videos, "holds video files, but this protocol measures frames"),
        (_twice, "are both frame 3"),
        (_cut_short, "0003.png: is empty"),
        (_mixed, "holds folders of frames and frames"),
        (_webp, r"has .webp files, which are not read"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(
    both: tuple[Path, Path], damage: object, said: str
) -> None:
    damage(both[0])  # type: ignore[operator]
    with pytest.raises(EvaluationError, match=said) as caught:
        fit(*both)
    assert len(str(caught.value).splitlines()) == 1


def test_a_published_script_resizes_what_it_compares(both: tuple[Path, Path]) -> None:
    _all_another_size(both[0])
    write_folder(both[0] / "b", frames(1, size=40))
    fit(*both, resize=True)


def test_a_set_may_count_from_one(both: tuple[Path, Path]) -> None:
    shutil.rmtree(both[0] / "a")
    write_folder(both[0] / "a", frames(0), first=1)
    fit(*both)


def test_depth_that_does_not_fit_is_named(both: tuple[Path, Path]) -> None:
    clip = open_folder(both[0], videos=False).clips["a"]
    for array, said in (
        (depth() * 3, r"depth spans 0.8323 to 3; scale it to \[0, 1\]"),
        (depth()[:4], r"is \(4, 32, 32\), but the frames are \(8, 32, 32\)"),
        (depth() * np.nan, "not finite"),
        (depth() > 0.5, "depth.npy: is an array of bool, not of numbers"),
        (depth()[:, :0], r"is \(8, 0, 32\), but the frames are \(8, 32, 32\)"),
        (depth().astype(str), "depth.npy: is an array of <U32, not of numbers"),
    ):
        np.save(both[0] / "a" / "depth.npy", array)
        with pytest.raises(EvaluationError, match=said):
            clip.read()
    (both[0] / "a" / "depth.npy").write_bytes(b"pickle")
    with pytest.raises(EvaluationError, match="is no array"):
        clip.read()
    with (both[0] / "a" / "depth.npy").open("wb") as file:
        np.savez(file, depth=depth())
    with pytest.raises(EvaluationError, match=r"depth.npy: holds several arrays \(.npz\)"):
        clip.read()


def test_two_depths_of_one_clip_are_refused(both: tuple[Path, Path]) -> None:
    write_depth(both[0] / "a" / "depth", depth())
    clips = open_folder(both[0], videos=False)
    with pytest.raises(EvaluationError, match=r"depth.npy: lies beside .*a/depth, another depth"):
        clips.clips["a"].read()
    shutil.rmtree(both[0] / "a" / "depth")
    assert clips.clips["a"].read().depth is not None


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("white", [1, 255, 65535])
def test_masks_of_ones_are_read_as_white_ones(
    both: tuple[Path, Path], white: int, bits: int
) -> None:
    folder = both[1] / "a" / "mask"
    folder.mkdir()
    for number, inside in enumerate(person()):
        mask = np.where(inside, min(white, 2**bits - 1), 0).astype(f"u{bits // 8}")
        cv2.imwrite(str(folder / f"{number}.png"), mask)
    read = open_folder(both[1], videos=False).clips["a"].read()
    assert read.mask is not None
    assert np.array_equal(read.mask, person())


def test_a_driving_pose_has_openposes_joints(both: tuple[Path, Path]) -> None:
    clip = open_folder(both[1], videos=False).clips["a"]
    for joints in (18, 134):
        np.save(both[1] / "a" / "keypoints.npy", np.ones((8, 1, joints, 3)))
        assert clip.read().keypoints.shape == (8, 1, joints, 3)  # type: ignore[union-attr]
    np.save(both[1] / "a" / "keypoints.npy", np.ones((8, 1, 17, 3)))
    with pytest.raises(EvaluationError, match=r"keypoints.npy: people have 18 .* not 17"):
        clip.read()


def test_clips_that_lie_under_each_others_names_are_noticed() -> None:
    a, b, c = (thumbnail(frames(seed)) for seed in range(3))
    check_swapped({"a": (a, a), "b": (b, b), "c": (c, c)})
    with pytest.raises(EvaluationError, match="clips a and c look exchanged"):
        check_swapped({"a": (c, a), "b": (b, b), "c": (a, c)})
    # A bad generator is not an exchange.
    check_swapped({"a": (b, a), "b": (a + b, b), "c": (b, c)})


def test_two_videos_of_one_clip_are_refused(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.MP4", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"a\.mp4: a\.MP4 is of clip a as well"):
        open_folder(tmp_path, videos=True)


def test_numbered_video_files_are_videos_each_and_not_kept_in_memory(tmp_path: Path) -> None:
    for name in ("TiktokDance_001.mp4", "TiktokDance_002.mp4"):
        (tmp_path / name).write_bytes(b"")
    clips = open_folder(tmp_path, videos=True)
    pairs = paired(clips, clips, other_size="error")
    assert [*pairs] == ["TiktokDance_001", "TiktokDance_002"]
    assert not any(map(_is_short, pairs.values()))


def test_video_files_are_of_the_videos_that_the_references_folders_say(tmp_path: Path) -> None:
    (tmp_path / "generated").mkdir()
    for first in (1, 9):
        write_folder(tmp_path / "reference" / f"dance_{first:04}", frames(0))
        for n, file in enumerate(sorted((tmp_path / "reference" / f"dance_{first:04}").iterdir())):
            file.rename(file.with_name(f"dance_{first + n:04}.png"))
        (tmp_path / "generated" / f"dance_{first:04}.mp4").write_bytes(b"")
    sides = [open_folder(tmp_path / side, videos=True) for side in ("generated", "reference")]
    [(video, clips)] = paired(*sides, other_size="error").items()
    assert (video, len(clips)) == ("dance", 2)
    assert _is_short(clips)


def test_clips_of_a_shot_between_two_frames_that_are_taken_go_on_with_none(tmp_path: Path) -> None:
    made = []
    for first in (0, 16, 31, 47, 62):  # of every second frame; 31 and 62 begin a shot
        clip = shard_clip(0, "v", first)
        info = {**clip.info, "frame_indices": list(range(first, first + 16, 2))}
        made.append(replace(clip, info=info))
    clips = open_shards(str(write_shards(tmp_path, [], made)), None, None).clips
    numbers = [clip.numbers for clip in clips.values()]
    assert sorted(n[0] for n in numbers) == [0, 8, 17, 25, 34]
    cutter = Cutter[int](protocol("disco-image-16").snippets, 1)
    cut = [s for n in sorted(numbers) for s in cutter.push(n, n)]
    assert [(s[0], s[-1]) for s in cut] == [(0, 15), (17, 32)]


def test_a_folder_called_after_a_file_is_a_clip(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.png"):
        write_folder(tmp_path / name, frames(0))
    assert list(open_folder(tmp_path, videos=True).clips) == ["a.mp4", "b.png"]
