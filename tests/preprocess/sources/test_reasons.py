"""Reasons name files as they lie in the source, wherever that lies."""

from pathlib import Path

import pytest

from preprocess.sources.reasons import without_source
from preprocess.sources.registry import list_videos


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("videos/bad.mp4 cannot be read", "videos", "bad.mp4 cannot be read"),
        ("my_videos/bad.mp4 cannot be read", "videos", "my_videos/bad.mp4 cannot be read"),
        ("videos/a/videos/bad.mp4: empty", "videos", "a/videos/bad.mp4: empty"),
        ("of '/data/videos/a' and (/data/videos/b)", "/data/videos", "of 'a' and (b)"),
        ("/mnt/data/videos/a", "/data/videos", "/mnt/data/videos/a"),
        ("../a and ./b", ".", "../a and b"),
    ],
)
def test_paths_lose_the_source_and_names_nothing(text, source, expected):
    assert without_source(text, Path(source)) == expected


def test_a_folder_whose_name_ends_as_the_sources_keeps_it(tmp_path, make_video, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "videos" / "a.mp4", 4)
    (tmp_path / "videos" / "my_videos").mkdir()
    (tmp_path / "videos" / "my_videos" / "bad.mp4").write_bytes(b"bad")
    (near,) = list_videos("videos", Path("videos")).unreadable
    (far,) = list_videos("videos", tmp_path / "videos").unreadable
    assert near == far
    assert "my_videos/bad.mp4" in near.reason
