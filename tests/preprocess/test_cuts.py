"""Cuts are found, and nothing else is taken for one: made from footage of people."""

import cv2
import numpy as np
import pytest

import preprocess.cuts
from preprocess.cuts import find_breaks
from preprocess.glance import glance_of_image
from preprocess.shots import Break
from preprocess.video import VideoFile

SIZE = (160, 90)
NAMES = ("cam01", "cam03", "demo", "close")


@pytest.fixture(scope="module")
def scenes(footage):
    """36 frames each of three places, and of a person who fills the picture; (N, 90, 160, 3)."""

    def frames(name, first, square):
        x, y, width = square
        height = width * SIZE[1] // SIZE[0]
        read = VideoFile(footage(name)).read(range(first, first + 36))
        return np.stack(
            [
                cv2.resize(f.rgb[y : y + height, x : x + width], SIZE, interpolation=cv2.INTER_AREA)
                for f in read
            ]
        )

    return {
        "cam01": frames("cam01.mp4", 0, (0, 500, 1080)),
        "cam03": frames("cam03.mp4", 60, (0, 500, 1088)),
        "demo": frames("demo.mp4", 100, (0, 0, 1760)),
        "close": frames("cam01.mp4", 50, (360, 480, 360)),
    }


def breaks(frames):
    return find_breaks(glance_of_image(i, frame) for i, frame in enumerate(frames))


def exposed(frames, gain, offset=0.0):
    return np.clip(frames * gain + offset, 0, 255).astype(np.uint8)


def test_a_hard_cut_between_any_two_is_found_at_its_place(scenes):
    for a in NAMES:
        for b in NAMES:
            if a != b:
                joined = np.concatenate([scenes[a][:20], scenes[b][:20]])
                assert breaks(joined) == [Break(19, 20, "cut")], (a, b)


def test_a_cut_in_the_dark_and_between_stills(scenes):
    joined = np.concatenate([scenes["cam01"][:20], scenes["demo"][:20]])
    noise = np.random.default_rng(0).normal(0, 1, joined.shape)
    assert breaks(exposed(joined, 0.08, noise)) == [Break(19, 20, "cut")]
    stills = np.repeat(joined[[0, 39]], 15, axis=0)
    assert breaks(stills) == [Break(14, 15, "cut")]


def test_the_same_place_in_another_framing_is_another_shot(scenes):
    wide = scenes["cam03"]
    near = np.stack([cv2.resize(f[20:65, 40:120], SIZE) for f in wide[18:]])
    assert breaks(np.concatenate([wide[:18], near])) == [Break(17, 18, "cut")]


def flash(frames):
    frames[18:20] = exposed(frames[18:20], 1.3, 140)
    return frames


def white(frames):
    frames[17:20] = 255
    return frames


def light_switched_off(frames):
    return np.concatenate([frames[:18], exposed(frames[18:], 0.5)])


def strobe(frames):
    frames[::4] = exposed(frames[::4], 1.3, 100)
    return frames


def pan(frames):
    large = [cv2.resize(f, (640, 360)) for f in frames[:24]]
    return np.stack([f[130:220, 20 * i : 20 * i + 160] for i, f in enumerate(large)])


def shake(frames):
    moves = np.random.default_rng(1).integers(-8, 9, (len(frames), 2))
    large = [cv2.resize(f, (192, 108)) for f in frames]
    return np.stack(
        [f[9 + y : 99 + y, 16 + x : 176 + x] for f, (y, x) in zip(large, moves, strict=True)]
    )


def banner(frames):
    frames[18:, 60:] = (200, 30, 30)
    return frames


def fast(frames):
    return frames[::4]


@pytest.mark.parametrize(
    "change",
    [np.copy, flash, white, light_switched_off, strobe, pan, shake, banner, fast],
    ids=lambda change: change.__name__,
)
def test_what_is_no_cut(scenes, change):
    for name in NAMES:
        assert breaks(change(scenes[name].copy())) == [], name


def test_somebody_who_passes_close_to_the_camera_is_no_cut(scenes):
    for name in NAMES[:3]:
        frames = scenes[name].copy()
        body = cv2.blur(scenes["close"][0], (5, 1))[:, 20:140]
        for i in range(10):  # 120 pixels wide, across the picture in 10 frames
            left = int(-120 + (i + 0.5) * 28)
            visible = slice(max(left, 0), min(left + 120, 160))
            frames[12 + i][:, visible] = body[:, visible.start - left : visible.stop - left]
        assert breaks(frames) == [], name


def test_dissolves_and_fades_belong_to_no_shot(scenes):
    a, b = scenes["cam01"], scenes["demo"]
    share = (np.arange(1, 9) / 9)[:, None, None, None]
    between = (a[12:20] * (1 - share) + b[:8] * share).astype(np.uint8)
    (found,) = breaks(np.concatenate([a[:12], between, b[8:24]]))
    assert found.before <= 14
    assert found.after >= 17
    dark = np.zeros((6, 90, 160, 3), np.uint8)
    faded = np.concatenate([a[:12], exposed(a[12:20], 1 - share), dark, exposed(b[:8], share), b])
    (found,) = breaks(faded)
    assert 18 <= found.before < 20
    assert 26 <= found.after <= 27


def test_a_picture_of_another_size_begins_a_shot(scenes):
    small = np.stack([cv2.resize(f, (80, 45)) for f in scenes["demo"]])
    assert breaks([*scenes["demo"][:10], *small[10:20], *scenes["demo"][20:30]]) == [
        Break(9, 10, "size"),
        Break(19, 20, "size"),
    ]


def test_long_videos_are_examined_in_parts_with_the_same_result(scenes, monkeypatch):
    parts = [scenes[NAMES[i % 4]][: 20 + 3 * i] for i in range(6)]
    joined = np.concatenate(parts)
    places = np.cumsum([len(part) for part in parts])[:-1]
    expected = [Break(p - 1, p, "cut") for p in places.tolist()]
    assert breaks(joined) == expected
    for chunk in (33, 40):
        monkeypatch.setattr(preprocess.cuts, "_CHUNK", chunk)
        assert breaks(joined) == expected


def test_frames_that_cannot_be_read_hide_no_cut(scenes):
    joined = [*scenes["cam01"][:20], *scenes["demo"][:20]]
    seen = [glance_of_image(i, f) for i, f in enumerate(joined) if not 17 <= i < 23]
    assert find_breaks(seen) == [Break(16, 23, "cut")]
    assert find_breaks([]) == find_breaks(seen[:1]) == []
