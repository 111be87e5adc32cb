"""Whom `LitePerson` follows, and when it says that there is nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from preprocess.annotators.lite.network import Network
from preprocess.annotators.lite.person import LitePerson
from preprocess.annotators.tracked import PersonFrame

HIPS = [23, 24]


def read_frames(path: Path, count: int, *, step: int = 1, start: int = 0) -> list[np.ndarray]:
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= start and (index - start) % step == 0:
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == count:
                break
    return frames


@pytest.fixture(scope="module")
def body_only(locate: Callable[[str], Path]) -> LitePerson:
    return LitePerson(locate, hands=False, face=False)


@pytest.fixture(scope="module")
def walker(footage: Callable[[str], Path]) -> list[np.ndarray]:
    """Ten frames of cam01 in half size, (960, 540, 3): a man in the middle, a woman at the edge."""
    frames = read_frames(footage("cam01.mp4"), 10, step=3)
    return [cv2.resize(frame, (540, 960), interpolation=cv2.INTER_AREA) for frame in frames]


@pytest.fixture(scope="module")
def balancer(footage: Callable[[str], Path]) -> list[np.ndarray]:
    """Ten frames of cam03 in half size, (960, 544, 3): the same man from behind."""
    frames = read_frames(footage("cam03.mp4"), 10, step=3)
    return [cv2.resize(frame, (544, 960), interpolation=cv2.INTER_AREA) for frame in frames]


def hips(found: list[PersonFrame | None]) -> np.ndarray:
    """The middle of the hips, (frames, 2); every frame must hold the person."""
    assert all(one is not None for one in found), [one is not None for one in found]
    return np.array([one.landmarks[HIPS, :2].mean(axis=0) for one in found if one is not None])


def test_shapes_and_ranges(locate: Callable[[str], Path], walker: list[np.ndarray]) -> None:
    (one,) = LitePerson(locate).track(walker[:1])
    assert one is not None
    assert (one.landmarks.shape, one.landmarks.dtype) == ((33, 5), np.float32)
    assert (one.world.shape, one.world.dtype) == ((33, 3), np.float32)
    assert (one.mask.values.shape, one.mask.values.dtype) == ((256, 256), np.float32)
    assert one.mask.region == one.region
    for values in (one.landmarks[:, 3:], one.mask.values):
        assert values.min() >= 0
        assert values.max() <= 1
    assert one.right_hand is not None
    assert (one.right_hand.shape, one.right_hand.dtype) == ((21, 3), np.float32)


def test_left_is_the_persons_own_left(
    locate: Callable[[str], Path], footage: Callable[[str], Path]
) -> None:
    """cam01 sees the man's front, so his left is on the right of the image; cam03 his back."""
    both = LitePerson(locate, face=False)
    for video, sign in (("cam01", 1), ("cam03", -1)):
        (one,) = both.track(read_frames(footage(f"{video}.mp4"), 1, start=60))
        assert one is not None
        assert one.left_hand is not None
        assert one.right_hand is not None
        assert np.sign(one.landmarks[11, 0] - one.landmarks[12, 0]) == sign
        for hand, wrist in ((one.left_hand, 15), (one.right_hand, 16)):
            assert np.linalg.norm(hand[0, :2] - one.landmarks[wrist, :2]) < 60


def test_landmarks_lie_on_the_mask(body_only: LitePerson, walker: list[np.ndarray]) -> None:
    for one in body_only.track(walker[:3]):
        assert one is not None
        mask = one.mask.warped(np.eye(2, 3), 540, 960)
        x, y = one.landmarks[[11, 12, 23, 24, 25, 26], :2].round().astype(int).T
        assert (mask[y, x] > 0.5).all()
        assert 0.04 < (mask > 0.5).mean() < 0.2


def test_a_run_is_a_function_of_its_frames(
    locate: Callable[[str], Path], walker: list[np.ndarray], balancer: list[np.ndarray]
) -> None:
    """Neither what was tracked before nor the number of threads changes a bit."""
    first, other = LitePerson(locate), LitePerson(locate, threads=2)
    expected = list(first.track(walker[:4]))
    list(first.track(balancer[:2]))
    for again in (first, other):
        for one, two in zip(expected, again.track(walker[:4]), strict=True):
            assert one is not None
            assert two is not None
            for name in ("landmarks", "world", "left_hand", "right_hand", "face"):
                np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
            np.testing.assert_array_equal(one.mask.values, two.mask.values)


def test_frames_before_the_first_detection_are_looked_at_again(
    body_only: LitePerson, walker: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody is found at first, the man is followed backwards from the first hit."""
    search = body_only._search
    monkeypatch.setattr(
        body_only, "_search", lambda frame, t, *more: search(frame, t, *more) if t >= 3 else None
    )
    found = list(body_only.track(walker[:6]))
    assert np.abs(hips(found) - hips(list(body_only.track(walker[:6])))).max() == 0
    monkeypatch.undo()
    assert np.abs(hips(found) - hips(list(body_only.track(walker[:6])))).max() < 6


def test_everybody_is_found_once(
    body_only: LitePerson, walker: list[np.ndarray], balancer: list[np.ndarray]
) -> None:
    together = np.hstack([walker[0], balancer[0]])
    first, second = body_only.everybody(together)
    x = sorted(one.landmarks[HIPS, 0].mean() for one in (first, second))
    assert x[0] < 540 < x[1]
    assert body_only.everybody(np.full_like(together, 127)) == ()


def test_of_two_people_one_is_followed(
    body_only: LitePerson, walker: list[np.ndarray], balancer: list[np.ndarray]
) -> None:
    """The men of cam01 and cam03 side by side: whoever is chosen, he is followed, as if alone."""
    together = [np.hstack([a, b]) for a, b in zip(walker, balancer, strict=True)]
    track = hips(list(body_only.track(together)))
    offset = 0 if track[0, 0] < 540 else 540
    alone = hips(list(body_only.track(walker if offset == 0 else balancer)))
    assert np.abs(track - alone - (offset, 0)).max() < 12


def test_the_larger_of_two_people_is_chosen(
    body_only: LitePerson, walker: list[np.ndarray], balancer: list[np.ndarray]
) -> None:
    for small_first in (True, False):
        small = np.zeros_like(balancer[0])
        small[300:780, 136:408] = cv2.resize(balancer[0], (272, 480), interpolation=cv2.INTER_AREA)
        pair = [small, walker[0]] if small_first else [walker[0], small]
        (x, _) = hips(list(body_only.track([np.hstack(pair)])))[0]
        assert (x > 540) == small_first


def test_a_person_leaves_and_comes_back(body_only: LitePerson, walker: list[np.ndarray]) -> None:
    empty = np.full_like(walker[0], 127)
    run = [empty, empty, *walker[:3], empty, empty, *walker[3:6]]
    found = [one is not None for one in body_only.track(run)]
    assert found == [frame is not empty for frame in run]


def test_nobody_else_is_taken_for_the_one_who_left(
    body_only: LitePerson, walker: list[np.ndarray], balancer: list[np.ndarray]
) -> None:
    """When one of two far apart leaves, the other is not at once reported in his place."""
    nothing = np.full((960, 1600, 3), 127, np.uint8)
    left = np.hstack([walker[0], nothing])
    right = np.hstack([nothing, walker[0]])
    found = [one is not None for one in body_only.track([left] * 2 + [right] * 3)]
    assert found == [True, True, False, False, False]


def test_a_person_who_walks_out_is_dropped(
    body_only: LitePerson, balancer: list[np.ndarray]
) -> None:
    """The image slides to the side until the person is out of it."""
    frame, wall = balancer[0], np.full((960, 544, 3), 127, np.uint8)
    scene = np.hstack([wall, frame])
    run = [scene[:, max(544 - 60 * step, 0) :][:, :544] for step in range(10)]
    found = [one is not None for one in body_only.track(run)]
    assert all(found[:3])
    assert not any(found[8:])


@pytest.mark.parametrize("size", [(30, 40), (181, 101), (241, 427), (3840, 2160)])
def test_sizes_of_frames(
    body_only: LitePerson, walker: list[np.ndarray], size: tuple[int, int]
) -> None:
    """Tiny, odd and huge frames give an answer; where a person can be seen, the same person."""
    height, width = size
    frame = cv2.resize(walker[0], (width, height), interpolation=cv2.INTER_AREA)
    (one,) = body_only.track([frame])
    if height == 30:
        assert one is None or np.isfinite(one.landmarks).all()
    elif height > width:
        (reference,) = body_only.track(walker[:1])
        assert one is not None
        assert reference is not None
        scale = np.array([width / 540, height / 960])
        apart = one.landmarks[:, :2] / scale - reference.landmarks[:, :2]
        assert np.linalg.norm(apart, axis=1).mean() < 25


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (30, 40)])
def test_frames_too_small_for_anybody(body_only: LitePerson, shape: tuple[int, int]) -> None:
    assert list(body_only.track([np.zeros((*shape, 3), np.uint8)])) == [None]


def images_of_nobody() -> dict[str, np.ndarray]:
    """Images without people: (480, 640, 3) uint8."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:480, :640]
    found = {
        "black": np.zeros((480, 640), np.uint8),
        "white": np.full((480, 640), 255, np.uint8),
        "noise": random.integers(0, 256, (480, 640, 3), dtype=np.uint8),
        "gradient": (x * 255 // 639).astype(np.uint8),
        "checks": ((x // 32 + y // 32) % 2 * 255).astype(np.uint8),
        "bricks": np.where((y % 40 < 4) | ((x + y // 40 % 2 * 40) % 80 < 4), 220, 90),
        "rings": (np.sin(np.hypot(x - 320, y - 240) / 9) * 127 + 128).astype(np.uint8),
        "stripes": (np.sin((x + 0.4 * y) / 11) * 127 + 128).astype(np.uint8),
    }
    for cell in (8, 24, 32, 48, 64, 96):
        coarse = random.random((480 // cell + 2, 640 // cell + 2, 3))
        smooth = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        found[f"clouds {cell}"] = (smooth.clip(0, 1) * 255).astype(np.uint8)
    landscape = np.full((480, 640, 3), (180, 210, 240), np.uint8)
    landscape[240:] = (60, 140, 50)
    for place in random.integers(0, 640, 20).tolist():
        cv2.line(landscape, (place, 190), (place, 300), (90, 60, 30), 6)
        cv2.circle(landscape, (place, 190), 34, (30, 90, 30), -1)
    found["landscape"] = landscape
    return {
        name: image.astype(np.uint8) if image.ndim == 3 else np.dstack([image] * 3)
        for name, image in found.items()
    }


def test_nobody_is_found_where_nobody_is(body_only: LitePerson) -> None:
    mistaken = [
        name
        for name, image in images_of_nobody().items()
        if body_only.track([np.ascontiguousarray(image.astype(np.uint8))]) != (None,)
    ]
    assert mistaken == []


def test_nobody_is_found_in_the_footages_background(
    body_only: LitePerson, footage: Callable[[str], Path]
) -> None:
    corners = {
        "cam01": [np.s_[1200:, :], np.s_[:600, 560:]],
        "cam03": [np.s_[1400:, :], np.s_[:900, :500]],
        "demo": [np.s_[450:, :], np.s_[:, 800:]],
    }
    for video, parts in corners.items():
        (frame,) = read_frames(footage(f"{video}.mp4"), 1)
        for part in parts:
            assert list(body_only.track([np.ascontiguousarray(frame[part])])) == [None], video


def test_a_small_person_is_found_in_a_wide_frame(
    body_only: LitePerson, footage: Callable[[str], Path]
) -> None:
    """In demo's first frame the detector finds nobody in the whole, only in a part of it."""
    (one,) = body_only.track(read_frames(footage("demo.mp4"), 1))
    assert one is not None
    np.testing.assert_allclose(one.landmarks[HIPS, :2].mean(axis=0), (650, 270), atol=25)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3)),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_frame_is_refused(body_only: LitePerson, frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"frame 0 is .* not uint8 \(H, W, 3\)"):
        list(body_only.track([frame]))


def test_making_a_network_is_silent(
    locate: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    network = Network(locate("hand_recrop.tflite"))
    network(np.zeros((network.side, network.side, 3), np.uint8))
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_whole_videos(locate: Callable[[str], Path], footage: Callable[[str], Path]) -> None:
    """The man is followed through both videos of him, and most of his hands are found."""
    for video in ("cam01", "cam03"):
        found = list(LitePerson(locate).track(read_frames(footage(f"{video}.mp4"), 100)))
        assert np.linalg.norm(np.diff(hips(found), axis=0), axis=1).max() < 60
        hands = sum((one.left_hand is not None) + (one.right_hand is not None) for one in found)
        assert hands > 110
