"""Builds from and into an S3 server: the same bytes, whatever is killed, one writer at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from pipelines.cli import main
from shards.files.leases import leased
from shards.files.locks import LOCK
from shards.files.storage import Store
from shards.inspect.cli import main as shards_main
from shards.stream import ClipStream
from tests.pipelines.conftest import tree
from tests.processes import until_there
from tests.s3 import ACCESS, SECRET, bucket, s3_server  # noqa: F401

OPTIONS = (
    *("--dataset", "videos", "--mask", "none", "--pose", "none", "--depth", "none"),
    *("--crop", "center", "--size", "32", "--shots", "off", "--clip-length", "8"),
    *("--clips-per-shard", "3"),
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def uploaded(folder: Path, url: str) -> str:
    fs, root = fsspec.core.url_to_fs(url)
    for path in folder.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return url


def objects(url: str) -> dict[str, bytes]:
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return {name.removeprefix(f"{root}/"): fs.cat_file(name) for name in fs.find(root)}


def same(out: str, folder: Path) -> bool:
    return objects(out) == {name: (folder / name).read_bytes() for name in tree(folder)}


def command(source: str | Path, out: str | Path, *options: str) -> list[str]:
    return ["build", *OPTIONS, "--source", str(source), "--out", str(out), *options]


def test_from_and_to_s3_the_bytes_are_the_same(
    videos,
    bucket,  # noqa: F811
    tmp_path,
    capfd,
):
    source, out = uploaded(videos, f"{bucket}/source"), f"{bucket}/out"
    assert main(command(source, out, "--workers", "0", "--log-level", "debug")) == 0
    assert main(command(videos, tmp_path / "out", "--workers", "0")) == 0
    assert same(out, tmp_path / "out")
    assert shards_main(["verify", out]) == 0
    here = [s.key for s in ClipStream(tmp_path / "out", frames=8).samples()]
    assert here == [s.key for s in ClipStream(out, frames=8).samples()]
    assert here == [s.key for s in ClipStream(out, frames=8, cache=tmp_path / "c").samples()]
    told = "".join(capfd.readouterr())
    for secret in (SECRET, ACCESS):
        assert secret not in told
        assert not any(secret.encode() in data for data in objects(out).values())


@pytest.mark.slow
def test_a_build_killed_on_s3_resumes_with_the_same_bytes(
    videos,
    bucket,  # noqa: F811
    tmp_path,
    start,
):
    source, out = uploaded(videos, f"{bucket}/source"), f"{bucket}/out"
    arguments = [sys.executable, "-m", "pipelines.cli", *command(source, out, "--workers", "0")]
    build = start(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    store = Store.at(out)
    until_there(lambda: list(store.list("train")), build)
    build.send_signal(signal.SIGKILL)
    assert build.wait() == -signal.SIGKILL
    assert store.size(LOCK)  # it died with its lease
    assert main(command(source, out, "--workers", "0")) == 0
    assert main(command(videos, tmp_path / "out", "--workers", "0")) == 0
    assert same(out, tmp_path / "out")


def test_a_second_build_is_told_who_writes(
    videos,
    bucket,  # noqa: F811
    capfd,
):
    out = f"{bucket}/out"
    with leased(Store.at(out), renew_seconds=0.3):
        assert main(command(videos, out, "--workers", "0")) == 2
    assert "another build is writing into this folder" in capfd.readouterr().err
    assert list(objects(out)) == []


@pytest.mark.slow
def test_of_two_builds_at_once_one_makes_the_dataset(
    videos,
    bucket,  # noqa: F811
    tmp_path,
    start,
):
    out = f"{bucket}/out"
    arguments = [sys.executable, "-m", "pipelines.cli", *command(videos, out, "--workers", "0")]
    both = [
        start(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    codes = sorted(build.wait(200) for build in both)
    assert codes in ([0, 0], [0, 2])  # the second came after the first, or was refused
    assert main(command(videos, tmp_path / "out", "--workers", "0")) == 0
    assert same(out, tmp_path / "out")


def test_out_within_the_source_is_refused(bucket, videos, capfd):  # noqa: F811
    source = uploaded(videos, f"{bucket}/source")
    assert main(command(source, f"{source}/out")) == 2
    assert "lies in the source" in capfd.readouterr().err


def test_what_cannot_be_reached_is_one_line_without_secrets(bucket, videos, capfd):  # noqa: F811
    assert main(command("s3://no-such-bucket/x", f"{bucket}/out")) == 2
    assert main(command(videos, "s3://no-such-bucket/x")) == 2
    told = capfd.readouterr().err
    assert len(told.strip().splitlines()) == 2, told
    assert SECRET not in told
