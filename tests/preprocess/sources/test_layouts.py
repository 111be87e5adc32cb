"""Each published layout is read as it is, in an order that depends on names alone."""

import numpy as np
import pytest

from preprocess.errors import ClipError, InputError
from preprocess.sources.files import file_of, numerically
from preprocess.sources.ntu120 import NtuName, parse_name
from preprocess.sources.registry import DATASETS, list_videos
from tests.conftest import numbered_frame, read_number


def first_number(video, index=0):
    (frame,) = video.reader.read([index])
    return read_number(frame.rgb)


def test_tiktok(tmp_path, write_image):
    for folder, count in (("00001", 12), ("00335", 3), ("00334", 2)):
        for i in range(count):  # 1-based, and here without padding: 10 must come after 9
            name = tmp_path / "TikTok_dataset" / folder / "images" / f"{i + 1}.png"
            write_image(name, numbered_frame(i))
    (tmp_path / "TikTok_dataset" / "00336" / "images").mkdir(parents=True)
    listing = list_videos("tiktok", tmp_path)
    assert [(v.id, v.frames, v.split) for v in listing.videos] == [
        ("00001", 12, "train"),
        ("00334", 2, "train"),
        ("00335", 3, "val"),
    ]
    assert [first_number(listing.videos[0], i) for i in range(12)] == list(range(12))
    assert listing.videos[0].fps == 30
    (empty,) = listing.unreadable
    assert (empty.id, "no frames" in empty.reason) == ("00336", True)
    assert list_videos("tiktok", tmp_path / "TikTok_dataset").videos == listing.videos


@pytest.mark.parametrize("dataset", ["tiktok", "shhq"])
def test_hidden_folders_are_none_of_the_dataset(tmp_path, write_image, dataset):
    frames = {"tiktok": "images", "shhq": "no_segment"}[dataset]
    for folder in (".00000", "00002"):
        write_image(tmp_path / folder / frames / "1.png", numbered_frame(0))
    (video,) = list_videos(dataset, tmp_path).videos
    assert file_of(video.reader).startswith(str(tmp_path / "00002"))


def test_tiktok_has_masks_and_densepose_where_their_folders_are(
    tmp_path, write_image, real_frames, real_masks, read
):
    folder = tmp_path / "TikTok_dataset" / "00007"
    for i in range(3):
        write_image(folder / "images" / f"{i + 1:04d}.png", real_frames[i])
        write_image(folder / "masks" / f"{i + 1:04d}.png", real_masks[i])
    write_image(tmp_path / "TikTok_dataset" / "00008" / "images" / "0001.png", real_frames[0])
    (folder / "masks" / "0002.png").unlink()
    with_masks, without = list_videos("tiktok", tmp_path).videos
    np.testing.assert_array_equal(read(with_masks.reader, 2), real_frames[2])
    np.testing.assert_array_equal(read(with_masks.masks, 2), real_masks[2])
    with pytest.raises(ClipError, match=r"00007/masks/0002\.png: No such file"):
        read(with_masks.masks, 1)
    assert with_masks.densepose is without.masks is None


def test_ntu120(tmp_path, make_video):
    for name in ("S001C001P003R001A001", "S001C002P003R001A001", "S018C001P041R002A120"):
        make_video(tmp_path / "nturgb+d_rgb" / f"{name}_rgb.avi", 5, codec="mpeg4")
    make_video(tmp_path / "something_else.avi", 5, codec="mpeg4")
    listing = list_videos("ntu120", tmp_path)
    assert [v.id for v in listing.videos] == [
        "S001C001P003R001A001_rgb",
        "S001C002P003R001A001_rgb",
        "S018C001P041R002A120_rgb",
    ]
    assert [v.group for v in listing.videos] == ["P003", "P003", "P041"]
    assert first_number(listing.videos[2], 3) == 3


def test_ntu_names():
    assert parse_name("S018C002P041R001A120_rgb") == NtuName(18, 2, 41, 1, 120)
    assert parse_name("S018C002P041R001A120_depth") is None


def test_ntu120_by_a_condition_opens_no_other_file(tmp_path, make_video):
    for name in ("S001C001P001R001A001", "S001C001P002R001A001", "S001C002P001R001A001"):
        make_video(tmp_path / f"{name}_rgb.avi", 5, codec="mpeg4")
    (tmp_path / "S017C003P020R002A060_rgb.avi").write_bytes(b"broken")
    opened = []
    listing = list_videos(
        "ntu120",
        tmp_path,
        lambda: opened.append(1),
        where="performer in (1, 2) and camera == 1 and setup <= 17",
    )
    assert [v.id[:12] for v in listing.videos] == ["S001C001P001", "S001C001P002"]
    assert (len(opened), listing.unreadable) == (2, ())
    with pytest.raises(InputError, match="none of the 4 NTU videos"):
        list_videos("ntu120", tmp_path, where="action == 120")
    with pytest.raises(InputError, match="no field 'actor'"):
        list_videos("ntu120", tmp_path, where="actor == 1")


def test_a_condition_on_a_dataset_without_fields_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be used with tiktok"):
        list_videos("tiktok", tmp_path, where="performer == 1")


def test_a_folder_of_videos(tmp_path, make_video):
    make_video(tmp_path / "day 1" / "take.10.mp4", 4)
    make_video(tmp_path / "day 1" / "take.9.mp4", 3)
    make_video(tmp_path / "clip.MOV", 2)
    make_video(tmp_path / "same.mp4", 2)
    make_video(tmp_path / "same.mkv", 2)
    make_video(tmp_path / ".hidden" / "a.mp4", 2)
    (tmp_path / "broken.mp4").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no video")
    listing = list_videos("videos", tmp_path)
    assert [(v.id, v.frames) for v in listing.videos] == [
        ("clip", 2),
        ("day 1/take.9", 3),
        ("day 1/take.10", 4),
        ("same.mkv", 2),
        ("same.mp4", 2),
    ]
    assert [u.id for u in listing.unreadable] == ["broken"]
    assert "broken.mp4" in listing.unreadable[0].reason


def test_a_sound_file_is_no_video(tmp_path):
    import av
    import numpy as np

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    listing = list_videos("videos", tmp_path)
    assert not listing.videos
    assert "no video stream" in listing.unreadable[0].reason


def test_a_folder_of_images(tmp_path, write_image):
    for i, name in enumerate(["b/2.png", "b/10.jpg", "a.b.webp"]):
        write_image(tmp_path / name, numbered_frame(i))
    listing = list_videos("images", tmp_path)
    assert [(v.id, v.frames) for v in listing.videos] == [("a.b", 1), ("b/2", 1), ("b/10", 1)]
    assert first_number(listing.videos[1]) == 0


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_empty_folder_says_what_was_expected(tmp_path, dataset):
    with pytest.raises(InputError, match=str(tmp_path)):
        list_videos(dataset, tmp_path)


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        list_videos("videos", tmp_path / "nowhere")
    (tmp_path / "file.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="not a folder"):
        list_videos("videos", tmp_path / "file.mp4")


def test_numbers_sort_as_numbers():
    names = ["10.png", "9.png", "a2", "a10", "0009b", "1"]
    assert sorted(names, key=numerically) == ["1", "0009b", "9.png", "10.png", "a2", "a10"]
