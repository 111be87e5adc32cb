"""The mark is invisible, survives what is done to pictures, and is not found where it is not."""

from __future__ import annotations

import io
from math import comb

import av
import cv2
import numpy as np
import pytest

from idol.generate.errors import GenerationError
from idol.generate.inputs.estimate import LiteDepth
from idol.generate.outputs import write_outputs
from idol.generate.watermark import (
    ALARM,
    MESSAGE,
    Detection,
    Watermark,
    _threads,
    detect,
    p_value,
)
from preprocess.weights import folder
from tests.idol.generate.pictures import generated_clip, pictures


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return pictures(3, 256)


@pytest.fixture(scope="module")
def marked(plain: np.ndarray) -> np.ndarray:
    return np.stack(list(Watermark.load(every=4).mark(plain)))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.parametrize(
    ("omp", "threads"),
    [("3", 3), ("4,2", 4), (" 2 , 1", 2), ("", 0), ("many", 0), ("-1", 0), ("²", 0), ("9" * 30, 0)],
)
def test_as_many_threads_as_openmps(omp: str, threads: int) -> None:
    assert _threads(omp) == threads


def test_the_message_is_read_also_in_frames_that_share_a_mark(plain, marked):
    expected = "".join(f"{byte:08b}" for byte in MESSAGE)
    # Alone and together, four looks.
    assert detect(marked) == Detection(expected, 32, 4 * 2**-32, 3)
    assert detect(marked[2:]) == Detection(expected, 32, 2**-32, 1)
    assert not detect(plain[:2]).marked


def test_no_value_changes_by_more_than_two(plain, marked):
    assert np.abs(marked.astype(int) - plain).max() <= 3
    assert psnr(marked, plain) > 40


def test_every_says_for_how_many_frames_a_mark_is(plain):
    changed = [m.astype(int) - p for m, p in zip(Watermark.load(2).mark(plain), plain, strict=True)]
    same = [bool((change != changed[0]).mean() < 0.01) for change in changed]  # clipped ones differ
    assert same == [True, True, False]


def test_jpeg_and_h264_leave_it(marked):
    done = cv2.imencode(".jpg", marked[0][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    assert detect([cv2.imdecode(done, cv2.IMREAD_COLOR_RGB)]).marked
    assert detect(coded(marked, "23")[1:]).marked


def test_scaling_leaves_it_and_larger_pictures_are_marked(plain):
    large = np.stack([cv2.resize(p, (600, 400), interpolation=cv2.INTER_CUBIC) for p in plain[:2]])
    marked = list(Watermark.load(2).mark(large))
    assert marked[0].shape == (400, 600, 3)
    assert psnr(np.stack(marked), large) > 40
    assert detect([cv2.resize(marked[0], (300, 200), interpolation=cv2.INTER_AREA)]).marked


@pytest.mark.slow
def test_it_is_found_beside_something_else(marked):
    flat = np.full_like(marked[0], 255)
    for beside in (np.hstack([marked[0], flat]), np.vstack([flat, marked[0]])):
        found = detect([beside])
        assert found.marked
        assert found.p_value == pytest.approx(3 * p_value(found.agreeing))  # whole, and two ends


def test_a_marked_frame_is_found_among_others(plain, marked):
    assert detect([plain[0], plain[1], marked[2]]).marked


@pytest.mark.slow
def test_odd_pictures_are_not_marked():
    for picture in (
        np.full((256, 256, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8),
        np.zeros((1, 9, 3), np.uint8),
    ):
        assert not detect([picture]).marked


def test_the_p_value_is_the_binomial_tail():
    assert p_value(0) == 1
    assert p_value(32) == 2**-32
    assert p_value(31) == 33 / 2**32
    assert p_value(17) + p_value(16) == pytest.approx(1)  # as many ways above the middle as below
    assert p_value(28) == sum(comb(32, n) for n in range(5)) / 2**32 < ALARM < p_value(27)


def test_another_picture_gets_a_mark_of_its_own(plain):
    frames = [plain[0], plain[1], plain[0][::-1]]
    marked = list(Watermark.load(8).mark(frames))
    changes = [m.astype(int) - f for m, f in zip(marked, frames, strict=True)]
    assert (changes[0] != changes[1]).mean() < 0.01
    assert (changes[0] != changes[2]).mean() > 0.2


def test_what_cannot_be_marked_says_so():
    with pytest.raises(ValueError, match="256"):
        next(Watermark.load(1).mark([np.zeros((64, 256, 3), np.uint8)]))
    with pytest.raises(GenerationError, match="1 or more"):
        Watermark.load(0)
    with pytest.raises(ValueError, match="no frame"):
        detect([])


def test_an_absent_network_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("IDOL_WEIGHTS", str(tmp_path))
    with pytest.raises(GenerationError, match="idol-prep weights fetch rivagan"):
        Watermark.load()


def test_networks_are_taken_from_the_folder_that_is_given(tmp_path, monkeypatch):
    root = folder()
    monkeypatch.setenv("IDOL_WEIGHTS", str(tmp_path))
    written = write_outputs(
        tmp_path / "out", generated_clip(1), {}, watermark=Watermark.load(root=root)
    )
    assert written["watermark"]["read_back"]["frames"] == 1
    assert LiteDepth(root=root).kind == "person"


def coded(frames: np.ndarray, crf: str) -> list[np.ndarray]:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        stream.options = {"crf": crf, "threads": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
