"""A source at a URL gives what the same files on a disk give."""

from __future__ import annotations

import functools
import http.server
import os
import pickle
import shutil
import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest

from preprocess import remote
from preprocess.cut_scan import cuts_of, known_cuts
from preprocess.errors import ClipError, InputError
from preprocess.remote import RemotePath, located
from preprocess.sources.registry import list_videos
from shards.errors import StorageError
from tests.conftest import numbered_frame
from tests.preprocess.sources.test_builds import images, parquet, tar, tsv
from tests.preprocess.video_files import encode, numbered
from tests.s3 import bucket, s3_server  # noqa: F401


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "idol" / "sources"


def copied(folder: Path, url: str) -> Path:
    fs, root = fsspec.core.url_to_fs(url)
    for path in folder.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return located(url)


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield "memory://host/source"
    fs.store.clear()


def listed_paths(folder, image):
    (folder / "pictures").mkdir()
    (folder / "pictures" / "a b.png").write_bytes(image)
    (folder / "list.csv").write_text("path\npictures/a b.png\n../outside.png\nmissing.png\n")


def tiktok(folder, image):
    for number in (1, 2):
        for kind in ("images", "masks"):
            path = folder / "TikTok_dataset" / "00001" / kind / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
    (folder / "TikTok_dataset" / "notes.txt").write_text("-")


@pytest.mark.parametrize(
    ("dataset", "make"),
    [
        ("disco", tsv),
        ("shhq", images),
        ("deepfashion2", images),
        ("images", images),
        ("laion", tar),
        ("laion", parquet),
        ("laion", listed_paths),
        ("tiktok", tiktok),
    ],
)
def test_every_layout_is_the_same_from_afar(tmp_path, encoded, memory, dataset, make):
    here = tmp_path / "source"
    here.mkdir()
    make(here, encoded(numbered_frame(77)))
    (here / ".hidden").write_bytes(b"x")
    far = copied(here, memory)
    local, distant = list_videos(dataset, here), list_videos(dataset, far)
    assert local.passed_over == distant.passed_over
    assert local.unreadable == distant.unreadable
    distant = pickle.loads(pickle.dumps(distant))
    for one, other in zip(local.videos, distant.videos, strict=True):
        assert (one.id, one.frames, one.fps, one.group) == (
            *(other.id, other.frames, other.fps, other.group),
        )
        for a, b in ((one.reader, other.reader), (one.masks, other.masks)):
            assert (a is None) == (b is None)
            if a and b:
                assert a.fingerprint() == b.fingerprint()
                for frame, same in zip(a.read([0]), b.read([0]), strict=True):
                    np.testing.assert_array_equal(frame.rgb, same.rgb)
    fsspec.filesystem("memory").store.clear()
    remote.forget_listings()
    with pytest.raises(ClipError, match="memory://host/source"):
        next(distant.videos[0].reader.read((0,)))


def same_videos(here: Path, far: Path) -> None:
    local, distant = list_videos("videos", here), list_videos("videos", far)
    assert local.unreadable == distant.unreadable
    assert [(v.id, v.frames, v.fps, v.reader.fingerprint()) for v in local.videos] == [
        (v.id, v.frames, v.fps, v.reader.fingerprint()) for v in distant.videos
    ]
    for one, other in zip(local.videos, distant.videos, strict=True):
        wanted = (0, one.frames - 1)
        for frame, same in zip(one.reader.read(wanted), other.reader.read(wanted), strict=True):
            assert frame.seconds == same.seconds
            np.testing.assert_array_equal(frame.rgb, same.rgb)


@pytest.fixture
def videos(tmp_path, make_video) -> Path:
    source = tmp_path / "source"
    make_video(source / "a b#1.mp4", 14)
    make_video(source / "deep er" / "two.mkv", 5)
    make_video(source / "old.avi", 5, codec="mpeg4")
    (source / "broken.mp4").write_bytes(b"nothing")
    (source / "empty.mp4").write_bytes(b"")
    return source


def test_videos_from_s3(videos, bucket):  # noqa: F811
    same_videos(videos, copied(videos, f"{bucket}/some/where"))


@pytest.fixture
def web(videos):
    """The videos' address on a server that gives them no version but the time of change."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def send_head(self):
            if self.path.endswith("forbidden.mp4"):
                return self.send_error(403)
            return super().send_head()

    handler = functools.partial(Quiet, directory=str(videos))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_videos_over_http(videos, web):
    same_videos(videos, located(web))


def test_a_file_that_a_server_does_not_give_is_named_and_the_others_are_read(videos, web):
    (videos / "forbidden.mp4").write_bytes(b"nothing")
    (videos / "gone.mp4").symlink_to("nowhere")
    found = list_videos("videos", located(web))
    reasons = {one.id: one.reason for one in found.unreadable}
    assert reasons["forbidden"].endswith("forbidden.mp4 cannot be read: the server answers 403")
    assert reasons["gone"].endswith("gone.mp4 cannot be read: the server answers 404")
    assert len(found.videos) == 3
    with pytest.raises(OSError, match=r"forbidden\.mp4"):
        (located(web) / "forbidden.mp4").stat()


def test_where_a_server_gives_nothing_of_a_folder_it_is_named(videos, web):
    for path in videos.iterdir():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    (videos / "forbidden.mp4").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"cannot be read: the server answers 403"):
        list_videos("videos", located(web))


def test_a_file_of_the_same_size_that_changed_is_fetched_anew_over_http(videos, web):
    file, far = videos / "broken.mp4", located(web)
    before = Path(os.fspath(far / file.name))
    file.write_bytes(b"NOTHING")
    os.utime(file, (1e9, 1e9))
    remote.forget_listings()
    assert before.read_bytes() == b"nothing"
    assert Path(os.fspath(far / file.name)).read_bytes() == b"NOTHING"


def test_what_is_kept_of_a_file_is_not_that_of_one_that_differs_in_the_middle(tmp_path, memory):
    here = encode(tmp_path / "source" / "a.avi", numbered(40), "rawvideo")
    far = copied(here.parent, memory)
    (video,) = list_videos("videos", far).videos
    cuts_of(video)
    assert known_cuts(video) == []
    content = bytearray(here.read_bytes())
    content[len(content) // 2] ^= 255
    here.write_bytes(content)
    copied(here.parent, memory)
    (again,) = list_videos("videos", far).videos
    assert again.reader.fingerprint() == video.reader.fingerprint()
    assert known_cuts(again) is None


def test_copies_are_shared_and_bounded(videos, memory, cache, monkeypatch):
    far = copied(videos, memory)
    monkeypatch.setattr(remote, "_HELD", 1)
    monkeypatch.setenv("IDOL_SOURCE_CACHE", "1")
    for name in ("a b#1.mp4", "old.avi", "a b#1.mp4", "broken.mp4"):
        assert Path(os.fspath(far / name)).read_bytes() == (videos / name).read_bytes()
    # The last, and the one before it, which was held as it came.
    assert len(list(cache.glob("[!.]*"))) <= 2
    with open(far / "old.avi", "rb") as file:  # as native code would
        assert file.read() == (videos / "old.avi").read_bytes()
    monkeypatch.setenv("IDOL_SOURCE_CACHE", "lots")
    with pytest.raises(InputError, match="IDOL_SOURCE_CACHE=LOTS"):
        os.fspath(far / "broken.mp4")


def test_a_cache_that_cannot_be_written_to_is_no_fault_of_the_videos(
    videos, memory, tmp_path, monkeypatch
):
    far = copied(videos, memory)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"cannot be copied to \S+/file/idol/sources: Not a"):
        list_videos("videos", far)


@pytest.mark.usefixtures("no_locks")
def test_a_cache_without_locks_says_which_variable_moves_it(videos, memory, tmp_path, monkeypatch):
    far = copied(videos, memory)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said = r"cannot be copied to \S+/cache/idol/sources: its file system has no locks.*XDG_CACHE"
    with pytest.raises(StorageError, match=said):
        list_videos("videos", far)


def test_a_file_that_changed_is_fetched_anew(videos, memory):
    far = copied(videos, memory)
    before = Path(os.fspath(far / "old.avi"))
    shutil.copy(videos / "a b#1.mp4", videos / "old.avi")
    copied(videos, memory)
    remote.forget_listings()
    after = Path(os.fspath(far / "old.avi"))
    assert after != before
    assert after.read_bytes() == (videos / "a b#1.mp4").read_bytes()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://key:secret@bucket/videos", "holds a password"),
        ("https://host/videos?X-Amz-Signature=1234", "holds a password or a signature"),
        ("nowhere://bucket/videos", "cannot open nowhere://bucket"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(source, message):
    with pytest.raises(InputError, match=message) as refused:
        located(source)
    assert not any(word in str(refused.value) for word in ("secret@", "1234"))


def test_what_is_not_there_is_named(memory):
    with pytest.raises(InputError, match=r"source memory://host/source does not exist"):
        list_videos("videos", located(memory))


def test_paths_are_plain_values():
    path = located("s3://bucket/a/b.mp4")
    assert isinstance(path, RemotePath)
    assert str(path) == "s3://bucket/a/b.mp4"
    assert located(str(path.parent)) / "b.mp4" == path == pickle.loads(pickle.dumps(path))
    assert path.relative_to(located("s3://bucket")).as_posix() == "a/b.mp4"
    assert path.with_suffix(".tar").name == "b.tar"
    assert located("file:///a/b") == Path("/a/b")
