"""A TSV distribution becomes videos: frames in order, masks by key, splits by file."""

import numpy as np
import pytest

from preprocess.errors import ClipError, InputError
from preprocess.sources.disco import video_and_number
from preprocess.sources.registry import list_videos
from tests.conftest import numbered_frame, read_number


@pytest.mark.parametrize(
    ("key", "video", "number"),
    [
        ("TiktokDance_00001_0002.png", "00001", 2),
        ("TiktokDance_201_002_1x1_00030.jpg", "201_002", 30),
        ("201_002_1x1__00030.png", "201_002", 30),
        ("S001C001P001R001A001_0007", "S001C001P001R001A001", 7),
        ("Custom_000_000001.png", "Custom_000", 1),
        ("00337/frame_0012.png", "00337", 12),
        ("000000000139", "000000000139", None),
        ("portrait.jpg", "portrait", None),
    ],
)
def test_keys(key, video, number):
    assert video_and_number(key) == (video, number)


@pytest.fixture
def distribution(tmp_path, write_tsv, real_frames, real_masks, encoded):
    """DisCo's layout: train with two videos, val with one of the private clips, frames shuffled,
    masks in another order, one missing and one that stands for nothing."""

    def write(root=tmp_path / "TikTokDance", **options):
        train = [f"TiktokDance_{v}_{i:04d}.png" for v in ("00001", "00002") for i in range(1, 4)]
        rows = [(key, encoded(real_frames[i])) for i, key in enumerate(train)]
        masks = [(key, encoded(real_masks[i]), True) for i, key in enumerate(train)]
        masks[4] = (train[4], encoded(np.zeros((160, 90, 3), np.uint8)), False)
        spans = [(key, [-(i % 3), 2 - i % 3]) for i, key in enumerate(train)]
        write_tsv(root / "train_images.tsv", rows, **options)
        write_tsv(root / "train_masks.tsv", masks[:0:-1], **options)
        write_tsv(root / "train_poses.tsv", rows[:2], **options)
        write_tsv(root / "train_vid2line.tsv", spans, **options)
        val = [
            (f"TiktokDance_201_002_1x1_{i:05d}.jpg", encoded(real_frames[i], ".jpg"))
            for i in (7, 6)
        ]
        write_tsv(root / "new10val_images.tsv", val, **options)
        return tmp_path

    return write


def test_masks_are_found_in_any_case_of_letters(distribution):
    folder = distribution()

    def found():
        videos = list_videos("disco", folder).videos
        return sorted((video.id, video.split, video.masks is None) for video in videos)

    before = found()
    for name in ("train_images.tsv", "train_masks.tsv"):
        path = folder / "TikTokDance" / name
        path.rename(path.with_name(name.replace("train_", "Train_").upper()))
    assert found() == before


@pytest.mark.parametrize("options", [{}, {"lineidx": False, "end": "\r\n"}])
def test_a_distribution_in_its_published_layout(
    distribution, real_frames, real_masks, encoded, read, options
):
    listing = list_videos("disco", distribution(**options))
    assert listing.unreadable == ()
    by_id = {video.id: video for video in listing.videos}
    assert [(v.id, v.frames, v.split, v.fps) for v in listing.videos] == [
        ("201_002", 2, "val", 30),
        ("00001", 3, "train", 30),
        ("00002", 3, "train", 30),
    ]
    for i in range(3):
        np.testing.assert_array_equal(read(by_id["00002"].reader, i), real_frames[3 + i])
    for video, i in (("00001", 1), ("00001", 2), ("00002", 0), ("00002", 2)):
        mask = real_masks[i + (3 if video == "00002" else 0)]
        np.testing.assert_array_equal(read(by_id[video].masks, i), mask)
    with pytest.raises(ClipError, match=r"train_masks\.tsv has no image for .*_00001_0001"):
        read(by_id["00001"].masks, 0)
    with pytest.raises(ClipError, match=r"_00002_0002\.png is marked as not valid"):
        read(by_id["00002"].masks, 1)
    assert by_id["201_002"].masks is None
    close = np.abs(read(by_id["201_002"].reader).astype(int) - real_frames[6]).mean()
    assert close < 6  # a JPEG, and the earlier frame first


def numbered(write_tsv, encoded, path, keys):
    write_tsv(path, [(key, encoded(numbered_frame(i))) for i, key in enumerate(keys)])


def order_of(reader):
    return [read_number(frame.rgb) for frame in reader.read(range(len(reader.keys)))]


def order(video):
    return order_of(video.reader)


def test_frames_are_ordered_by_the_number_in_the_key(tmp_path, write_tsv, encoded):
    keys = ["v_10.png", "v_9.png", "w_1.png", "v_0011.png", "w_0.png"]
    numbered(write_tsv, encoded, tmp_path / "train_images.tsv", keys)
    listing = list_videos("disco", tmp_path)
    assert [(v.id, order(v)) for v in listing.videos] == [("v", [1, 0, 3]), ("w", [4, 2])]


def test_images_for_pre_training_are_videos_of_one_frame(tmp_path, write_tsv, encoded):
    for folder in ("coco", "SHHQ-1.0"):
        keys = [f"{folder}_{i:05d}.jpg" for i in range(2)]
        numbered(write_tsv, encoded, tmp_path / folder / "train_images.tsv", keys)
    listing = list_videos("disco", tmp_path)
    assert [(v.id, v.frames) for v in listing.videos] == [
        ("SHHQ-1.0/train/SHHQ-1.0_00000", 1),
        ("SHHQ-1.0/train/SHHQ-1.0_00001", 1),
        ("coco/train/coco_00000", 1),
        ("coco/train/coco_00001", 1),
    ]


def test_held_out_videos_are_never_trained_on(tmp_path, write_tsv, encoded):
    train = ["TiktokDance_00337_0001.png", "TiktokDance_00336_0001.png", "TiktokDance_7_1.png"]
    numbered(write_tsv, encoded, tmp_path / "train_images.tsv", train)
    numbered(write_tsv, encoded, tmp_path / "val_images.tsv", ["TiktokDance_7_1.png"])
    listing = list_videos("disco", tmp_path)
    assert [(v.id, v.split) for v in listing.videos] == [
        ("train/7", "val"),
        ("00336", "train"),
        ("00337", "val"),
        ("val/7", "val"),
    ]


def test_a_video_of_two_files_is_on_the_side_that_one_of_them_names(tmp_path, write_tsv, encoded):
    numbered(write_tsv, encoded, tmp_path / "train_images.tsv", ["TiktokDance_7_1.png"])
    numbered(write_tsv, encoded, tmp_path / "more_images.tsv", ["TiktokDance_7_1.png", "8_1.png"])
    listing = list_videos("disco", tmp_path)
    assert [(v.id, v.split) for v in listing.videos] == [
        ("more/7", "train"),
        ("8", None),
        ("train/7", "train"),
    ]


def test_a_folder_of_other_tables_is_not_this_layout(tmp_path):
    (tmp_path / "table.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"not in DisCo's layout: expected .*train_images\.tsv"):
        list_videos("disco", tmp_path)


def test_an_empty_file_of_images_is_named(tmp_path, write_tsv, encoded):
    numbered(write_tsv, encoded, tmp_path / "train_images.tsv", ["v_1.png"])
    (tmp_path / "val_images.tsv").write_bytes(b"")
    listing = list_videos("disco", tmp_path)
    assert [u.reason for u in listing.unreadable] == ["val_images.tsv has no image"]


def test_numbers_in_the_keys_of_disco(tmp_path, write_tsv, encoded):
    image = encoded(np.zeros((40, 40, 3), np.uint8))
    keys = [f"TiktokDance_00001_{n:04d}.png" for n in (5, 6, 7, 20, 21)]
    write_tsv(tmp_path / "train_images.tsv", [(key, image) for key in keys])
    (video,) = list_videos("disco", tmp_path).videos
    assert [round(t * 30) for t in video.reader.times()] == [0, 1, 2, 15, 16]
    assert [round(f.seconds * 30) for f in video.reader.read((2, 3))] == [2, 15]
