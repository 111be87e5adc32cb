"""What lies in a source is read, or named: nothing is passed over in silence."""

import io
import os

import cv2
import numpy as np
import pytest

from preprocess.errors import ClipError, InputError
from preprocess.sources.files import unique_names
from preprocess.sources.registry import list_videos
from preprocess.sources.values import PassedOver
from preprocess.sources.videos import SUFFIXES
from tests.conftest import numbered_frame, read_number


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A small video as bytes."""
    import av

    path = tmp_path_factory.mktemp("video") / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(3):
            image = av.VideoFrame.from_ndarray(numbered_frame(index), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    return path.read_bytes()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def ids(listing):
    return [video.id for video in listing.videos]


def test_linked_folders_are_walked_and_links_to_nowhere_are_named(tmp_path, video):
    source, other = tmp_path / "in", tmp_path / "other"
    put(source / "here.mp4", video)
    put(other / "deep" / "there.mp4", video)
    (source / "part").symlink_to(other)
    put(tmp_path / "elsewhere.mp4", video)
    (source / "one.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    (source / "gone.mp4").symlink_to("../cache/a5/7c21ab")
    (source / "gone folder").symlink_to("../cache")
    listing = list_videos("videos", source)
    assert ids(listing) == ["here", "one", "part/deep/there"]
    assert {u.id: u.reason for u in listing.unreadable} == {
        "gone folder": "gone folder is a link to ../cache, which does not exist",
        "gone": "gone.mp4 is a link to ../cache/a5/7c21ab, which does not exist",
    }


def test_links_in_a_circle_end_and_each_folder_is_read_once(tmp_path, video):
    put(tmp_path / "b" / "a.mp4", video)
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a").symlink_to(tmp_path / "b")  # sorts before the folder itself
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    listing = list_videos("videos", tmp_path)
    assert ids(listing) == ["b/a"]
    (kind,) = listing.passed_over
    assert kind == PassedOver("link to a folder that is read already", 2, "a")
    (circle,) = listing.unreadable
    assert circle.id == "self"


def test_each_file_is_read_once_however_many_links_there_are(tmp_path, video):
    source, other = tmp_path / "in", tmp_path / "other"
    put(source / "b.mp4", video)
    put(source / ".kept" / "hidden.mp4", video)
    put(other / "c.mp4", video)
    put(tmp_path / "far.mp4", video)
    (source / "part").symlink_to(other)
    for name, target in {
        "a.mp4": source / "b.mp4",
        "c.mp4": other / "c.mp4",
        "d.mp4": tmp_path / "far.mp4",
        "e.mp4": tmp_path / "far.mp4",
        "f.mp4": source / ".kept" / "hidden.mp4",
    }.items():
        (source / name).symlink_to(target)
    listing = list_videos("videos", source)
    assert ids(listing) == ["b", "d", "f", "part/c"]
    counts = {passed.kind: passed.files for passed in listing.passed_over}
    assert counts["link to a file that is read already"] == 3


def test_frames_that_are_links_to_one_file_are_all_there(tmp_path):
    """Stores that keep each content once have frames that do not change as links to one file."""
    images, blobs = tmp_path / "TikTok_dataset" / "00001" / "images", tmp_path / "blobs"
    blobs.mkdir()
    cv2.imwrite(str(blobs / "a.png"), np.zeros((8, 8, 3), np.uint8))
    images.mkdir(parents=True)
    for number in range(1, 5):
        (images / f"{number:04}.png").symlink_to(blobs / "a.png")
    (video,) = list_videos("tiktok", tmp_path).videos
    assert video.frames == 4
    assert len(list_videos("images", images).videos) == 4


def test_other_files_are_counted_by_kind(tmp_path, video):
    put(tmp_path / "a.mp4", video)
    put(tmp_path / "b.MP4.part", video)
    for name in ("2.heic", "10.HEIC", "README", "l.psd", ".DS_Store", "x/.git/config", "a.b c d"):
        put(tmp_path / name, b"x")
    os.mkfifo(tmp_path / "pipe.mp4")
    listing = list_videos("videos", tmp_path)
    assert ids(listing) == ["a"]
    assert listing.passed_over == (
        PassedOver(".heic", 2, "2.heic"),
        PassedOver(".part", 1, "b.MP4.part"),
        PassedOver(".psd", 1, "l.psd"),
        PassedOver("hidden", 2, ".DS_Store"),
        PassedOver("neither file nor folder", 1, "pipe.mp4"),
        PassedOver("no suffix", 2, "README"),
    )
    assert not listing.unreadable


def test_a_source_of_nothing_else_says_what_is_there(tmp_path):
    put(tmp_path / "a.heic", b"x")
    (tmp_path / "b.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(InputError, match=r"holds no image .*b\.jpg is a link.*1 not read: \.heic"):
        list_videos("images", tmp_path)


def test_an_empty_video_is_said_to_be_empty(tmp_path, video):
    put(tmp_path / "a.mp4", video)
    put(tmp_path / "b.mp4", b"")
    (empty,) = list_videos("videos", tmp_path).unreadable
    assert (empty.id, empty.reason) == ("b", "b.mp4 is empty")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folders_that_may_not_be_read_are_named(tmp_path, video):
    put(tmp_path / "a.mp4", video)
    put(tmp_path / "closed" / "b.mp4", video)
    (tmp_path / "closed").chmod(0)
    try:
        (closed,) = list_videos("videos", tmp_path).unreadable
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert "cannot be read: Permission denied" in closed.reason


NAMES = (
    *("2024-01-01T12:30:00.mp4", "concat:a.mp4", "pipe:0.mp4", "http:a.mp4", "a%03d.mp4"),
    *("-dash.mp4", "new\nline.mp4", "a|b.mp4", "a?b#c.mp4", "é ü.mp4", os.fsdecode(b"\xff.mp4")),
)


def test_any_name_of_a_file_is_a_name(tmp_path, video, monkeypatch):
    for name in NAMES:
        put(tmp_path / "2024:01" / name, video)
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    for source in (Path("2024:01"), tmp_path / "2024:01"):
        listing = list_videos("videos", source)
        assert len(listing.videos) == len(NAMES)
        assert not listing.unreadable
        for found in listing.videos:
            assert [read_number(f.rgb) for f in found.reader.read([0, 2])] == [0, 2]


def test_a_playlist_under_a_videos_name_fetches_nothing(tmp_path):
    put(
        tmp_path / "a.mp4",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    )
    (playlist,) = list_videos("videos", tmp_path).unreadable
    assert "cannot be read as a video" in playlist.reason


CONTAINERS = {
    ".mxf": "mpeg2video",
    ".vob": "mpeg2video",
    ".ts": "libx264",
    ".3gp": "libx264",
    ".3g2": "libx264",
    ".f4v": "libx264",
    ".asf": "mpeg4",
    ".nut": "mpeg4",
    ".m2v": "mpeg2video",
    ".h261": "h261",
    ".h263": "h263",
    ".h264": "libx264",
    ".264": "libx264",
    ".avc": "libx264",
    ".h265": "libx265",
    ".265": "libx265",
    ".hevc": "libx265",
    ".obu": "libsvtav1",
    ".mjpeg": "mjpeg",
    ".y4m": "rawvideo",
    ".ivf": "libvpx-vp9",
    ".gif": "gif",
    ".apng": "apng",
}
MUXERS = {".f4v": "mp4", ".ivf": "ivf", ".m2v": "mpeg2video", ".asf": "asf", ".264": "h264",
          ".avc": "h264", ".265": "hevc"}  # fmt: skip
OPTIONS = {
    "libx265": {"x265-params": "log-level=none"},
    "libsvtav1": {"svtav1-params": "lp=1", "preset": "10"},
}
PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p", "apng": "rgb24"}


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_containers_that_are_read(tmp_path, suffix):
    import av

    assert suffix in SUFFIXES
    codec = CONTAINERS[suffix]
    images = [cv2.resize(numbered_frame(i), (176, 144)) for i in range(6)]
    with av.open(str(tmp_path / f"a{suffix}"), "w", format=MUXERS.get(suffix)) as container:
        stream = container.add_stream(codec, rate=25, options=OPTIONS.get(codec, {}))
        stream.width, stream.height = 176, 144
        stream.pix_fmt = PIXELS.get(codec, "yuv420p")
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    (found,) = list_videos("videos", tmp_path).videos
    assert found.frames == 6
    assert [read_number(f.rgb) for f in found.reader.read(range(6))] == list(range(6))


IMAGES = {"jfif": "JPEG", "jpe": "JPEG", "avif": "AVIF", "gif": "GIF", "jp2": "JPEG2000",
          "j2k": "JPEG2000", "ppm": "PPM", "dib": "DIB", "tif": "TIFF", "tga": "TGA"}  # fmt: skip


def test_images_that_are_read(tmp_path):
    from PIL import Image

    for suffix, form in IMAGES.items():
        Image.fromarray(numbered_frame(9)).save(tmp_path / f"{suffix}.{suffix}", form)
    Image.fromarray(numbered_frame(9)).save(tmp_path / "wrong.png", "JPEG")
    put(tmp_path / "page.jpg", b"<html>not found</html>")
    listing = list_videos("images", tmp_path)
    assert set(ids(listing)) == {*IMAGES, "wrong", "page"}
    for video in listing.videos:
        if video.id == "page":
            with pytest.raises(ClipError, match=r"page\.jpg is not an image"):
                next(video.reader.read([0]))
        else:
            (frame,) = video.reader.read([0])
            assert read_number(frame.rgb) == 9, video.id


def test_every_source_names_what_it_does_not_read(tmp_path, video, write_image):
    image = np.zeros((8, 8, 3), np.uint8)
    layouts = {
        "tiktok": "TikTok_dataset/00001/images/",
        "shhq": "no_segment/",
        "deepfashion2": "train/image/",
        "laion": "00000/",
    }
    for dataset, folder in layouts.items():
        write_image(tmp_path / dataset / folder / "1.png", image)
        put(tmp_path / dataset / folder / "2.heic", b"x")
        listing = list_videos(dataset, tmp_path / dataset)
        assert PassedOver(".heic", 1, f"{folder}2.heic") in listing.passed_over, dataset
    put(tmp_path / "ntu" / "S001C001P001R001A001_rgb.avi", video)
    put(tmp_path / "ntu" / "S001C001P001R001A002_depth.avi", video)
    put(tmp_path / "ntu" / "S001C001P001R001A003_rgb.mkv", video)
    assert list_videos("ntu120", tmp_path / "ntu").passed_over == (
        PassedOver(".mkv", 1, "S001C001P001R001A003_rgb.mkv"),
        PassedOver("video without an NTU name", 1, "S001C001P001R001A002_depth.avi"),
    )


def test_images_that_a_list_names_are_read_and_others_beside_it_counted(tmp_path, write_image):
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / "pictures" / name, np.zeros((8, 8, 3), np.uint8))
    put(tmp_path / "list.csv", b"path\npictures/a.png\npictures/c.png\n")
    put(tmp_path / "notes.txt", b"x")
    listing = list_videos("laion", tmp_path)
    assert ids(listing) == ["pictures/a", "pictures/c"]
    assert listing.passed_over == (
        PassedOver(".png", 1, "pictures/b.png"),
        PassedOver(".txt", 1, "notes.txt"),
    )


def test_members_of_tars_that_are_not_images_are_counted(tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for name in ("1.jpg", "1.json", "2.heic", "3.heic"):
            member = tarfile.TarInfo(name)
            member.size = 100
            tar.addfile(member, io.BytesIO(bytes(100)))
    listing = list_videos("laion", tmp_path)
    assert ids(listing) == ["00000/1"]
    assert listing.passed_over == (
        PassedOver(".heic in tar files", 2, "00000.tar/2.heic"),
        PassedOver(".json in tar files", 1, "00000.tar/1.json"),
    )


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["b/a.mp4", "b.mp4"], ["b/a", "b"]),
        (["a.mp4", "a.avi", "a.mp4.mkv"], ["a.mp4", "a.avi", "a.mp4.mkv"]),
        (["a.b.c", "a.b", "a.c", "a.b.c.d"], ["a.b.c", "a.b", "a.c", "a.b.c.d"]),
        (["a.mp4", "a.mp4"], ["a.mp4", "a.mp4"]),
    ],
)
def test_names_of_paths_that_differ_differ(paths, names):
    assert unique_names(paths) == names


def test_two_videos_of_one_id_are_refused_and_both_named(tmp_path):
    """Videos of two files are told apart by the files' names, which a key may have as well."""
    image = "A" * 100
    for name, key in {"a": "x_1.png", "b": "x_1.png", "c": "a/x_1.png"}.items():
        (tmp_path / f"{name}_images.tsv").write_text(f"{key}\t{image}\n")
    with pytest.raises(InputError, match=r"a_images\.tsv and .*c_images\.tsv both give .*'a/x'"):
        list_videos("disco", tmp_path)
