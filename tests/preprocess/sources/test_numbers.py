"""Numbers in names are times: what is missing between them was filmed, and is not there."""

import numpy as np
import pytest

from preprocess.frames import frame_times
from preprocess.shots import Break, gap_breaks
from preprocess.sources.files import natural_order
from preprocess.sources.numbers import distinct, frame_numbers
from preprocess.sources.registry import list_videos


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["0001", "0002", "0013"], (1, 2, 13)),
        (["0", "1", "2", "10"], (0, 1, 2, 10)),
        (["frame7", "frame08"], (7, 8)),
        (["cam2_f001_1080", "cam2_f002_1080", "cam2_f009_1080"], (1, 2, 9)),
        (["0001_1633024800100", "0002_1633024800133", "0005_1633024800233"], (1, 2, 5)),
        (["12"], (12,)),
        (["a", "b", "c"], ()),
        (["0001", "0002", "cover"], ()),
        (["1a2", "a3"], ()),
        (["s1_0001", "s1_0002", "s2_0001"], ()),  # neither grows: two recordings
        ([], ()),
    ],
)
def test_the_number_of_a_frame(names, numbers):
    assert frame_numbers(natural_order(names)) == numbers


def test_a_number_written_twice_is_one_frame():
    assert distinct(["0001", "1", "2", "x01", "x1"]) == ([0, 2, 3], [("1", "0001"), ("x1", "x01")])


@pytest.fixture
def tiktok(tmp_path, write_image):
    def write(*numbers, digits=4):
        for n in numbers:
            picture = np.full((8, 8, 3), n, np.uint8)
            write_image(tmp_path / "00001/images" / f"{n:0{digits}d}.png", picture)
        return tmp_path

    return write


def test_missing_numbers_are_a_gap_in_time(tiktok):
    (video,) = list_videos("tiktok", tiktok(0, 1, 2, 3, 13, 14, 16)).videos
    times = frame_times(video.reader, video.frames, video.fps)
    assert [round(t * 30) for t in times] == [0, 1, 2, 3, 13, 14, 16]
    assert [round(f.seconds * 30) for f in video.reader.read((0, 4, 6))] == [0, 13, 16]
    assert gap_breaks(video, 2.5) == (Break(3, 4, "gap"),)
    assert gap_breaks(video, 1.5) == (Break(3, 4, "gap"), Break(5, 6, "gap"))


def test_numbers_that_are_missing_often_are_gaps_all_the_same(tiktok):
    kept = [number for number in range(120) if number % 12 < 8]
    (video,) = list_videos("tiktok", tiktok(*kept)).videos
    assert [b.after for b in gap_breaks(video, 2.5)] == list(range(8, 80, 8))


def test_every_third_number_is_no_gap(tiktok):
    (video,) = list_videos("tiktok", tiktok(1, 4, 7, 10, 19)).videos
    assert gap_breaks(video, 2.5) == (Break(3, 4, "gap"),)


def test_an_image_of_the_same_number_is_left_out_and_named(tiktok):
    source = tiktok(1, 2, 3)
    tiktok(1, digits=1)
    listing = list_videos("tiktok", source)
    assert listing.videos[0].frames == 3
    (unreadable,) = listing.unreadable
    assert "1 images left out whose number another has (first: 1, as 0001)" in unreadable.reason
