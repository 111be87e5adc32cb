"""A user's own folder of DensePose: read in order, and wrong ones refused."""

import numpy as np
import pytest

from preprocess.errors import InputError
from preprocess.sources.densepose import with_densepose
from preprocess.sources.registry import list_videos


@pytest.fixture
def source(tmp_path, make_video):
    make_video(tmp_path / "source" / "a.mp4", 4)
    make_video(tmp_path / "source" / "deep er" / "b.mp4", 3)
    return tmp_path / "source"


@pytest.fixture
def densepose(tmp_path, write_image):
    """densepose(video, count) writes numbered images whose part index is their number."""

    def write(video, count, start=8):
        for i in range(start, start + count):  # 10 comes after 9
            write_image(tmp_path / "iuv" / video / f"{i}.png", np.full((64, 96, 3), i, np.uint8))
        return tmp_path / "iuv"

    return write


def test_a_folder_of_densepose_is_read_in_order(source, densepose):
    folder = densepose("deep er/b", 3)
    first, second = with_densepose(list_videos("videos", source), folder).videos
    assert first.densepose is None
    images = second.densepose.read((0, 1, 2))
    assert [image.rgb[0, 0, 0] for image in images] == [8, 9, 10]


def test_wrong_counts_are_all_named(source, densepose):
    densepose("a", 3)
    folder = densepose("deep er/b", 4)
    with pytest.raises(InputError) as error:
        with_densepose(list_videos("videos", source), folder)
    assert (
        "a: 3 images (8.png to 10.png) for 4 frames; "
        "deep er/b: 4 images (8.png to 11.png) for 3 frames"
    ) in str(error.value)


def test_hidden_files_are_no_images_and_suffixes_of_any_case_are(source, densepose):
    folder = densepose("deep er/b", 3)
    (folder / "deep er/b/._8.png").write_bytes(b"of macOS")
    (folder / "deep er/b/10.png").rename(folder / "deep er/b/10.PNG")
    _, video = with_densepose(list_videos("videos", source), folder).videos
    images = video.densepose.read((0, 1, 2))
    assert [image.rgb[0, 0, 0] for image in images] == [8, 9, 10]


def test_as_many_images_as_frames_but_of_others_are_refused(source, densepose):
    folder = densepose("deep er/b", 4)
    (folder / "deep er/b/10.png").unlink()
    with pytest.raises(
        InputError, match=r"deep er/b: 11\.png after 9\.png is not the next frame's"
    ):
        with_densepose(list_videos("videos", source), folder)


def test_images_have_the_numbers_of_frames_that_have_some(tmp_path, write_image):
    black = np.zeros((64, 96, 3), np.uint8)
    for number in (1, 2, 4):
        write_image(tmp_path / "TikTok_dataset/00001/images" / f"{number:04d}.png", black)
        write_image(tmp_path / "iuv/00001" / f"{number}.png", black)
    listing = list_videos("tiktok", tmp_path)
    (video,) = with_densepose(listing, tmp_path / "iuv").videos
    assert [path.name for path in video.densepose.paths] == ["1.png", "2.png", "4.png"]
    (tmp_path / "iuv/00001/4.png").rename(tmp_path / "iuv/00001/3.png")
    with pytest.raises(InputError, match=r"00001: 3\.png after 2\.png"):
        with_densepose(listing, tmp_path / "iuv")


def test_a_folder_of_something_else_is_refused(source, tmp_path):
    listing = list_videos("videos", source)
    with pytest.raises(InputError, match="does not exist"):
        with_densepose(listing, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"none of the videos: expected .*/source/a/\*\.png"):
        with_densepose(listing, source)


def test_a_file_without_a_depth_that_runs_it_is_refused(source, tmp_path):
    file = tmp_path / "densepose.torchscript"
    file.touch()
    with pytest.raises(InputError, match="is a file, a network that only `--depth hdnet` runs"):
        with_densepose(list_videos("videos", source), file)
