"""`--metrics`: Prometheus' text format, over HTTP and in a file."""

import os
import re
import socket
import urllib.error
import urllib.request

import pytest

from pipelines.cli import main
from pipelines.counts import Counts
from pipelines.metrics import CONTENT_TYPE, exported, text
from preprocess.errors import InputError
from shards.manifest import Quarantined
from tests.processes import free_port

LINE = re.compile(
    r"# (HELP|TYPE) idol_build_[a-z_]+ .+"
    r"|idol_build_[a-z_]+\{([a-z]+=\"([^\"\\\n]|\\[\\n\"])*\",?)*\} -?[0-9.e+]+"
)


def values(exposed):
    assert exposed.endswith("\n")
    lines = exposed.splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def build(tmp_path, make_video, *options):
    make_video(tmp_path / "source" / "a.mp4", 40)
    bare = ("--mask", "none", "--pose", "none", "--depth", "none", "--crop", "center")
    paths = ("--source", str(tmp_path / "source"), "--out", str(tmp_path / "out"))
    fast = ("--workers", "0", "--size", "32", "--shots", "off", "--clip-length", "8")
    return main(["build", "--dataset", "videos", *paths, *bare, *fast, *options])


def test_the_file_has_the_last_numbers(tmp_path, make_video):
    file = tmp_path / "idol.prom"
    assert build(tmp_path, make_video, "--metrics", str(file)) == 0
    found = values(file.read_text())
    label = f'{{out="{tmp_path / "out"}"'
    assert found[f"idol_build_clips_planned{label}}}"] == "5"
    assert found[f'idol_build_clips_committed{label},split="train"}}'] == "5"
    assert found[f"idol_build_clips_remaining{label}}}"] == "0"
    assert found[f"idol_build_clips_made_total{label}}}"] == "5"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_port_serves_on_the_loopback_alone():
    port = free_port()
    with exported(str(port)) as metrics:
        metrics.of("s3://bucket/data").made(1, [Quarantined("k", "v", "no person")])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            found = values(answer.read().decode())
        assert found['idol_build_clips_failed_total{out="s3://bucket/data"}'] == "1"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30)
        with pytest.raises(InputError, match="the port cannot be used"), exported(str(port)):
            pass
    with socket.socket() as again, pytest.raises(OSError):
        again.connect(("127.0.0.1", port))


@pytest.mark.parametrize("where", ["0", "70000", "", "0.0.0.0:9000", "/proc/none/x.prom"])
def test_places_that_cannot_be_used_are_one_line(tmp_path, make_video, capsys, where):
    assert build(tmp_path, make_video, "--metrics", where) == 2
    said = capsys.readouterr().err
    assert "--metrics" in said
    assert ("there is no folder /proc/none: make it first" in said) == where.startswith("/proc")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", [".", "..", "/", "source"])
def test_a_folder_is_no_file(tmp_path, make_video, capsys, monkeypatch, where):
    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path)
    assert build(tmp_path, make_video, "--metrics", where) == 2
    assert f"--metrics {where} is a folder: name a file in it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_names_are_escaped():
    out = 'a "b"\\\nc'
    found = values(text({out: Counts().now()}))
    assert found[r'idol_build_clips_planned{out="a \"b\"\\\nc"}'] == "0"


def test_a_name_that_is_no_text_is_written_as_one():
    out = os.fsdecode(b"a\xff")
    assert 'idol_build_clips_planned{out="a\ufffd"} 0' in text({out: Counts().now()})
