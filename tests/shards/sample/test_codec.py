from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from shards.errors import BadSample
from shards.sample.clip import Clip
from shards.sample.codec import decode_arrays, decode_clip, decode_info, encode_clip

MakeClip = Callable[..., Clip]


def test_members_are_named_and_sorted_as_the_layout_says(make_clip: MakeClip) -> None:
    names = [name for name, _ in encode_clip(make_clip("k-a-0"))]
    frames = range(3)
    assert names == [
        "k-a-0.background.jpg",
        "k-a-0.background_mask.png",
        *(f"k-a-0.depth_frame.00{t}.png" for t in frames),
        *(f"k-a-0.depth_person.00{t}.png" for t in frames),
        "k-a-0.json",
        "k-a-0.keypoints.npy",
        *(f"k-a-0.mask.00{t}.png" for t in frames),
        *(f"k-a-0.pose.00{t}.png" for t in frames),
        "k-a-0.reference.jpg",
        "k-a-0.reference_mask.png",
        *(f"k-a-0.rgb.00{t}.jpg" for t in frames),
    ]


def test_round_trip_loses_only_what_the_formats_lose(make_clip: MakeClip) -> None:
    clip = make_clip()
    back = decode_clip(encode_clip(clip))
    assert back.modalities == clip.modalities
    for name in ("mask", "pose", "keypoints", "reference_mask"):
        np.testing.assert_array_equal(getattr(back, name), getattr(clip, name))
    np.testing.assert_allclose(back.depth_person, clip.depth_person, rtol=0, atol=7.5e-4)
    np.testing.assert_allclose(back.depth_frame, clip.depth_frame, rtol=0, atol=0.51 / 65535)
    for name in ("rgb", "reference"):
        error = getattr(back, name).astype(float) - getattr(clip, name)
        assert 10 * np.log10(255**2 / np.mean(error**2)) > 40  # dB
    assert back.info == {**clip.info, "key": clip.key}


def test_every_depth_survives_storage_to_the_bound_of_the_colour_map(make_clip: MakeClip) -> None:
    depth = np.linspace(0, 1, 3 * 24 * 32, dtype=np.float32).reshape(3, 24, 32)
    back = decode_clip(
        encode_clip(replace(make_clip(), depth_person=depth)), modalities=["depth_person"]
    )
    np.testing.assert_allclose(back.depth_person, depth, rtol=0, atol=7.5e-4)


def test_red_stays_red(make_clip: MakeClip) -> None:
    rgb = np.zeros((3, 24, 32, 3), np.uint8)
    rgb[..., 0] = 250
    back = decode_clip(encode_clip(replace(make_clip(), rgb=rgb, pose=rgb)))
    np.testing.assert_array_equal(back.pose, rgb)
    assert np.abs(back.rgb.astype(int) - rgb).max() <= 3


def test_jpegs_keep_chroma_at_full_resolution(make_clip: MakeClip) -> None:
    data = dict(encode_clip(make_clip()))["videos-walk-0.rgb.000.jpg"]
    frame_header = data.index(b"\xff\xc0")  # SOF0; 10 bytes on: (id, sampling, table) by component
    assert [data[frame_header + 11 + 3 * c] for c in range(3)] == [0x11, 0x11, 0x11]


def test_equal_clips_have_equal_bytes(make_clip: MakeClip) -> None:
    clip = make_clip()
    shuffled = dict(reversed(clip.info.items()))
    assert encode_clip(clip) == encode_clip(replace(clip, info=shuffled))


def test_parts_of_a_clip(make_clip: MakeClip) -> None:
    clip = make_clip()
    members = encode_clip(clip)
    part = decode_clip(members, modalities=["mask", "keypoints"], frames=[2, 0])
    assert part.modalities == ("rgb", "mask", "keypoints")
    np.testing.assert_array_equal(part.mask, clip.mask[[2, 0]])
    np.testing.assert_array_equal(part.keypoints, clip.keypoints[[2, 0]])
    assert set(decode_arrays(members, modalities=["pose"])) == {"pose"}
    with pytest.raises(ValueError, match="no frame 3"):
        decode_clip(members, frames=[3])
    with pytest.raises(ValueError, match="no such modality: heat"):
        decode_clip(members, modalities=["heat"])


def test_a_clip_may_have_frames_alone(make_clip: MakeClip) -> None:
    clip = Clip("k-a-0", make_clip().rgb[:1], info={"frame_indices": [7]})
    back = decode_clip(encode_clip(clip))
    assert back.modalities == ("rgb",)
    with pytest.raises(BadSample, match="has no mask"):
        decode_clip(encode_clip(clip), modalities=["mask"])


def test_a_frame_number_above_999_is_read_as_a_number() -> None:
    rgb = np.zeros((1002, 8, 8, 3), np.uint8)
    rgb[1000:] = 200
    info = {"frame_indices": list(range(1002))}
    back = decode_clip(encode_clip(Clip("k-a-0", rgb, info=info)), frames=[99, 999, 1000, 1001])
    assert [int(frame.mean()) for frame in back.rgb] == [0, 0, 200, 200]


@pytest.mark.parametrize("info", [{"x": float("nan")}, {"x": np.float32(1)}, {"key": "other"}])
def test_info_that_is_not_plain_json_is_refused(make_clip: MakeClip, info: dict) -> None:
    with pytest.raises(ValueError, match="videos-walk-0"):
        encode_clip(replace(make_clip(), info=info))


def _without(members: list, name: str) -> list:
    return [m for m in members if m[0] != name]


def _with(members: list, name: str, data: bytes) -> list:
    return [(n, data if n == name else d) for n, d in members]


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("mask.001.png", None, "mask"),
        ("json", None, "no json member"),
        ("json", b"{", "not JSON"),
        ("json", b'{"key":"videos-walk-0"}', "frame_indices"),
        ("json", b"[" * 100_000, "nested too deep"),
        ("json", b'{"key":"videos-walk-0","frame_indices":[0,"1",2]}', "whole numbers"),
        ("json", b'{"key":"videos-walk-0","frame_indices":[0,-1,2]}', "whole numbers"),
        ("json", b'{"key":"videos-walk-0","frame_indices":[0,true,2]}', "whole numbers"),
        ("json", b'{"key":"videos-walk-0","frame_indices":"012"}', "frame_indices"),
        ("rgb.001.jpg", b"", "not a JPEG"),
        ("rgb.001.jpg", b"\xff\xd8\xff\xe0 nothing \xff\xd9", "cannot be decoded"),
        ("keypoints.npy", b"\x93NUMPY", "not an npy"),
        ("keypoints.npy", b"\x80\x04pickle", "not an npy"),
    ],
)
def test_damage_is_named(make_clip: MakeClip, name: str, data: bytes | None, what: str) -> None:
    name = f"videos-walk-0.{name}"
    members = encode_clip(make_clip())
    members = _without(members, name) if data is None else _with(members, name, data)
    with pytest.raises(BadSample, match=what) as caught:
        decode_clip(members)
    assert "videos-walk-0" in str(caught.value)


def test_a_truncated_frame_is_an_error_and_not_half_an_image(make_clip: MakeClip) -> None:
    members = dict(encode_clip(make_clip()))
    for name in ("videos-walk-0.rgb.000.jpg", "videos-walk-0.mask.000.png"):
        cut = {**members, name: members[name][:-20]}
        with pytest.raises(BadSample, match=name):
            decode_clip(list(cut.items()))


def test_an_array_header_cannot_make_us_allocate(make_clip: MakeClip) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 9999999999, 999, 3), }"
    header = header.ljust(118) + b"\n"
    blob = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    members = _with(encode_clip(make_clip()), "videos-walk-0.keypoints.npy", blob)
    with pytest.raises(BadSample, match="bytes of data"):
        decode_clip(members)


def test_info_comes_without_decoding_pixels(make_clip: MakeClip) -> None:
    members = [m for m in encode_clip(make_clip()) if m[0].endswith(".json")]
    assert decode_info(members)["video"] == "walk"
