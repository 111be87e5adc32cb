"""Frames as the programs of FOMM, MRAA, TPS and DreamPose leave them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.config.evaluate import Layout, ScoreConfig
from idol.evaluate.clips import ClipArrays
from idol.evaluate.errors import EvaluationError
from idol.evaluate.folders import with_depth
from idol.evaluate.published import open_published
from idol.evaluate.score import score
from tests.idol.evaluate.made import depth, write_depth, write_folder

STRIPS: tuple[Layout, ...] = ("fomm", "mraa", "tps")


def drawn(seed: int, count: int = 8, size: int = 64) -> np.ndarray:
    """Noise, (F, S, S, 3)."""
    shape = count, size, size, 3
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_png(file: Path, image: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def written(root: Path, layout: Layout, clips: dict[str, np.ndarray]) -> Path:
    """What the program leaves, with what it leaves beside it."""
    for name, frames in clips.items():
        if layout == "dreampose":
            for number, frame in enumerate(frames):
                write_png(root / name / f"pred_#{50 + number}.png", frame)
            (root / name / "adapter_44.pth").write_bytes(b"weights")
        else:
            strip = np.concatenate([*frames], axis=1)
            write_png(root / "reconstruction" / "png" / f"{name}.png", strip)
            (root / "reconstruction" / f"{name}.mp4").write_bytes(b"a visualisation")
    return root


@pytest.mark.parametrize("layout", [*STRIPS, "dreampose"])
def test_frames_come_back_as_they_were_written(tmp_path: Path, layout: Layout) -> None:
    clips = {"a.mp4": drawn(1), "b": drawn(2, count=11)}
    found = open_published(written(tmp_path, layout, clips), layout)
    assert [*found.clips] == ["a", "b"]
    for (name, clip), frames in zip(found.clips.items(), clips.values(), strict=True):
        assert (clip.name, clip.size, len(clip.numbers)) == (name, (64, 64), len(frames))
        arrays = clip.read()
        assert isinstance(arrays, ClipArrays)
        assert np.array_equal(arrays.frames, frames)


@pytest.mark.parametrize("layout", [*STRIPS, "dreampose"])
def test_depth_may_lie_beside_what_a_program_left(tmp_path: Path, layout: Layout) -> None:
    written(tmp_path / "log", layout, {"a": drawn(1)})
    write_depth(tmp_path / "depth" / "a", depth(size=64))
    clip = with_depth(open_published(tmp_path / "log", layout), tmp_path / "depth").clips["a"]
    assert "depth" in clip.has
    read = clip.read()
    assert np.array_equal(read.frames, drawn(1))
    assert read.depth is not None
    assert np.abs(read.depth - depth(size=64)).max() < 1e-5


def test_more_than_nine_frames_of_dreampose_are_in_the_order_of_their_numbers(
    tmp_path: Path,
) -> None:
    frames = drawn(3, count=3)
    for number, frame in zip((9, 10, 100), frames, strict=True):
        write_png(tmp_path / "a" / f"pred_#{number}.png", frame)
    [clip] = open_published(tmp_path, "dreampose").clips.values()
    assert np.array_equal(clip.read().frames, frames)


def test_the_folder_of_strips_may_be_given_itself(tmp_path: Path) -> None:
    written(tmp_path, "tps", {"a": drawn(1)})
    inner = open_published(tmp_path / "reconstruction" / "png", "tps")
    assert [*inner.clips] == ["a"]


@pytest.mark.parametrize("layout", [*STRIPS, "dreampose"])
def test_they_are_scored_beside_true_frames(tmp_path: Path, layout: Layout) -> None:
    clips = {f"clip{number}": drawn(number) for number in range(3)}
    for name, frames in clips.items():
        write_folder(tmp_path / "true" / name, frames)
    scores = score(
        ScoreConfig(
            generated=str(written(tmp_path / "made", layout, clips)),
            layout=layout,
            reference=str(tmp_path / "true"),
            protocol="clean-8",
            out=tmp_path / "scores",
            pose="none",
            metrics=("psnr", "l1"),
            samples=100,
        )
    )
    assert scores["metrics"]["l1"]["value"] == 0
    assert scores["counts"]["frames"] == 24
    assert scores["settings"]["layout"] == layout


@pytest.mark.parametrize(
    ("layout", "file", "shape", "message"),
    [
        ("fomm", "a.png", (64, 100), "no row of square frames"),
        ("mraa", "a.jpg", (64, 64), "has no .png"),
        ("dreampose", "a/frame_1.png", (64, 64), "no folder with pred_#NUMBER"),
    ],
)
def test_what_no_such_program_leaves_is_refused(
    tmp_path: Path, layout: Layout, file: str, shape: tuple[int, int], message: str
) -> None:
    write_png(tmp_path / file, np.zeros((*shape, 3), np.uint8))
    with pytest.raises(EvaluationError, match=message):
        open_published(tmp_path, layout)


@pytest.mark.parametrize(("layout", "name"), [("fomm", "a.png"), ("dreampose", "a/pred_#1.png")])
def test_a_picture_of_no_size_is_refused(tmp_path: Path, layout: Layout, name: str) -> None:
    write_png(tmp_path / name, np.zeros((4, 8, 3), np.uint8))
    data = bytearray((tmp_path / name).read_bytes())
    data[20:24] = bytes(4)  # its height
    (tmp_path / name).write_bytes(data)
    with pytest.raises(EvaluationError, match=r"says that it is 8x0, which is no picture"):
        open_published(tmp_path, layout)


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    for number, side in ((1, 64), (2, 32)):
        write_png(tmp_path / "a" / f"pred_#{number}.png", np.zeros((side, side, 3), np.uint8))
    with pytest.raises(EvaluationError, match="is 32x32, not 64x64"):
        open_published(tmp_path, "dreampose")


def test_one_video_twice_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "fomm", {"a": drawn(1), "a.mp4": drawn(1)})
    with pytest.raises(EvaluationError, match=r"a\.png: a\.mp4\.png is of a as well"):
        open_published(tmp_path, "fomm")
