"""SHHQ and DeepFashion2: folders of images, some with masks."""

import numpy as np
import pytest

from preprocess.errors import ClipError, InputError
from preprocess.sources.registry import list_videos


def test_shhq(tmp_path, write_image, real_frames, real_masks, read):
    root = tmp_path / "SHHQ-1.0"
    for i, name in enumerate(["1", "10", "2"]):
        write_image(root / "no_segment" / f"{name}.png", real_frames[i])
        write_image(root / "segments" / f"{name}.png", real_masks[i])
    (root / "segments" / "2.png").unlink()
    listing = list_videos("shhq", tmp_path)
    assert [(v.id, v.frames, v.split) for v in listing.videos] == [
        ("1", 1, None),
        ("2", 1, None),
        ("10", 1, None),
    ]
    np.testing.assert_array_equal(read(listing.videos[2].reader), real_frames[1])
    np.testing.assert_array_equal(read(listing.videos[2].masks), real_masks[1])
    with pytest.raises(ClipError, match=r"segments/2\.png: No such file"):
        read(listing.videos[1].masks)
    assert list_videos("shhq", root) == listing


def test_shhq_without_masks_or_with_other_suffixes(tmp_path, write_image, real_frames, real_masks):
    write_image(tmp_path / "no_segment" / "1.jpg", real_frames[0])
    (video,) = list_videos("shhq", tmp_path).videos
    assert video.masks is None
    write_image(tmp_path / "segments" / "1.png", real_masks[0])
    (video,) = list_videos("shhq", tmp_path).videos
    assert video.masks.name == "1.png"
    with pytest.raises(InputError, match="not in SHHQ's layout: expected SHHQ"):
        list_videos("shhq", tmp_path / "segments")


def test_deepfashion2(tmp_path, write_image, real_frames):
    for folder in ("train", "validation", "test"):
        for i in range(2):
            write_image(tmp_path / folder / "image" / f"{i + 1:06d}.jpg", real_frames[i])
        (tmp_path / folder / "annos").mkdir()
        (tmp_path / folder / "annos" / "000001.json").write_text('{"source": "user"}')
    listing = list_videos("deepfashion2", tmp_path)
    assert [(v.id, v.frames, v.split, v.masks) for v in listing.videos] == [
        ("train/000001", 1, "train", None),
        ("train/000002", 1, "train", None),
        ("validation/000001", 1, "val", None),
        ("validation/000002", 1, "val", None),
    ]


def test_an_image_that_is_damaged_is_found_when_it_is_read(tmp_path, write_image, real_frames):
    path = write_image(tmp_path / "train" / "image" / "000001.jpg", real_frames[0])
    path.write_bytes(path.read_bytes()[:-300])
    (video,) = list_videos("deepfashion2", tmp_path).videos
    with pytest.raises(ClipError, match=r"000001\.jpg is cut off"):
        next(video.reader.read((0,)))


def test_a_changed_image_is_another_source(tmp_path, write_image, real_frames):
    path = write_image(tmp_path / "train" / "image" / "000001.jpg", real_frames[0])
    (before,) = list_videos("deepfashion2", tmp_path).videos
    write_image(path, real_frames[1])
    (after,) = list_videos("deepfashion2", tmp_path).videos
    assert after.reader.fingerprint() != before.reader.fingerprint()


def test_two_kinds_of_image_with_one_number_are_two_videos(tmp_path, write_image, real_frames):
    for i, suffix in enumerate(("jpg", "png")):
        write_image(tmp_path / "train" / "image" / f"000001.{suffix}", real_frames[i])
    listing = list_videos("deepfashion2", tmp_path)
    assert [v.id for v in listing.videos] == ["train/000001.jpg", "train/000001.png"]
