"""Reading from S3, cold and warm, beside the same files on a disk: rates of sources and of shards.

    python bench/store_rates.py --videos FOLDER --shards FOLDER [--bucket s3://bucket]

Without `--bucket` a server on the loopback (moto) holds them, which is slower than a real one
by its processor and faster by its network: look at the ratios.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import fsspec
from local_s3 import local_s3

from preprocess.errors import InputError
from preprocess.remote import located
from preprocess.sources.registry import list_videos
from shards.command import run
from shards.errors import ShardsError
from shards.stream import ClipStream


@contextmanager
def loopback() -> Iterator[str]:
    """The URL of a bucket in a server of this process's own."""
    with local_s3() as (fs, _):
        fs.mkdir("bench")
        yield "s3://bench"


def upload(folder: Path, url: str) -> int:
    fs, root = fsspec.core.url_to_fs(url)
    total = 0
    for path in (p for p in folder.rglob("*") if p.is_file()):
        fs.put_file(str(path), f"{root}/{path.relative_to(folder).as_posix()}")
        total += path.stat().st_size
    return total


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def decode(source: Path) -> None:
    for video in list_videos("videos", source).videos:
        for _ in video.reader.read(range(0, video.frames, 8)):
            pass


def stream(path: str | Path, cache: str | None = None) -> None:
    for _ in ClipStream(path, frames=1, cache=cache).samples():
        pass


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--bucket")
    options = parser.parse_args(argv)
    place = nullcontext(options.bucket) if options.bucket else loopback()
    with tempfile.TemporaryDirectory() as scratch, place as bucket:
        os.environ["XDG_CACHE_HOME"] = scratch
        size = upload(options.videos, f"{bucket}/videos") / 1e6
        far = located(f"{bucket}/videos")
        local = seconds(lambda: decode(options.videos))
        cold, warm = seconds(lambda: decode(far)), seconds(lambda: decode(far))
        print(f"videos, {size:.1f} MB, every 8th frame decoded: MB/s (share of the disk's rate)")
        for name, took in (("disk", local), ("cold", cold), ("warm", warm)):
            print(f"  {name:<9}{size / took:8.1f}  ({local / took:.2f})")
        size = upload(options.shards, f"{bucket}/shards") / 1e6
        shards = f"{bucket}/shards"
        local = seconds(lambda: stream(options.shards))
        ranges = seconds(lambda: stream(shards))
        cold = seconds(lambda: stream(shards, f"{scratch}/shards"))
        warm = seconds(lambda: stream(shards, f"{scratch}/shards"))
        print(f"shards, {size:.1f} MB, a frame of each clip: MB/s (share of the disk's rate)")
        for name, took in (("disk", local), ("ranges", ranges), ("cold", cold), ("warm", warm)):
            print(f"  {name:<9}{size / took:8.1f}  ({local / took:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(run("store_rates.py", main, errors=(InputError, ShardsError, OSError)))
