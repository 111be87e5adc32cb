"""Clips that cannot be read are replaced, counted, and in the end too many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shards.errors import BadSample, BadTar, StorageError
from shards.inspect.verify import verify
from shards.reader import open_dataset
from shards.stream import ClipStream


def damage(root: Path, key: str, *, header: bool = False) -> None:
    """Overwrite the middle of a clip's range, its last image, or with `header` its start."""
    entry = open_dataset(root).find(key)
    with (root / entry.shard.name).open("r+b") as tar:
        sample = entry.sample
        tar.seek(sample.offset if header else sample.offset + sample.length - 900)
        tar.write(b"garbage!" * 50)


@pytest.fixture
def damaged(tmp_path: Path, build_tiny: Callable[..., Path]) -> tuple[Path, set[str]]:
    build_tiny(tmp_path, (10, 10), frames=2)
    bad = {"d-v0-3", "d-v0-4", "d-v1-9"}
    for key in sorted(bad):
        damage(tmp_path, key, header=key == "d-v0-4")
    return tmp_path, bad


def test_the_next_clip_of_the_order_stands_in(
    damaged: tuple[Path, set[str]], caplog: pytest.LogCaptureFixture
) -> None:
    root, bad = damaged
    sound = [s.key for s in ClipStream(root, frames=2, seed=3, max_bad=3).samples()]
    stream = ClipStream(root, frames=2, seed=3)
    order = [stream._order.place(i) for i in range(20)]
    planned = [f"d-v{place.shard}-{place.clip}" for place in order]
    for index, key in enumerate(planned):
        while key in bad:
            index = (index + 1) % 20
            key = planned[index]
        assert sound.pop(0) == key
    items = list(stream.samples())
    assert len(stream.skipped) == len(bad)
    assert len([line for item in items for line in item.skipped]) >= len(bad)
    for key in bad:
        (line,) = [line for line in stream.skipped if key in line]
        tar = root / f"train/shard-0000{key[3]}.tar"
        assert line.startswith(f"{tar}: sample {key}: ")
        assert line.count(str(tar)) == 2
        assert f"`idol-shards verify {tar}` names what is damaged: build or copy that" in line
        assert line in caplog.text


def test_what_the_line_advises_names_the_damage(damaged: tuple[Path, set[str]]) -> None:
    stream = ClipStream(damaged[0], frames=2)
    list(stream.samples())
    assert len(stream.skipped) == len(damaged[1])
    for line in stream.skipped:
        path = line.partition("`idol-shards verify ")[2].partition("`")[0]
        key = line.partition(": sample ")[2].partition(":")[0]
        assert key in {fault.key for fault in verify(path)}


def test_global_batches_stay_the_same_with_damage(damaged: tuple[Path, set[str]]) -> None:
    root, _ = damaged
    whole = [s.key for s in ClipStream(root, frames=2).samples()]
    for world_size in (2, 5):
        ranks = [
            [s.key for s in ClipStream(root, frames=2, rank=r, world_size=world_size).samples()]
            for r in range(world_size)
        ]
        assert [key for step in zip(*ranks, strict=True) for key in step] == whole


def test_a_clip_is_counted_once_however_often_it_comes(damaged: tuple[Path, set[str]]) -> None:
    stream = ClipStream(damaged[0], frames=2, max_bad=3)
    for _ in range(3):
        assert len(list(stream.samples())) == 20
    assert len(stream.skipped) == 3


def test_too_many_are_an_error_that_names_shard_and_key(damaged: tuple[Path, set[str]]) -> None:
    with pytest.raises(
        BadSample, match=r"3 clips cannot be read, and max_bad is 2; the last: .*shard-0000\d.tar"
    ) as caught:
        list(ClipStream(damaged[0], frames=2, max_bad=2).samples())
    assert any(key in str(caught.value) for key in damaged[1])


def test_nothing_readable_ends_too(tmp_path: Path, build_tiny: Callable[..., Path]) -> None:
    build_tiny(tmp_path, (2,))
    for key in ("d-v0-0", "d-v0-1"):
        damage(tmp_path, key)
    with pytest.raises(BadSample, match="no clip of this source can be read"):
        list(ClipStream(tmp_path, frames=1).samples())


def test_a_tar_that_goes_away_is_no_damage_but_an_error(
    tmp_path: Path, build_tiny: Callable[..., Path]
) -> None:
    build_tiny(tmp_path, (5,))
    stream = ClipStream(tmp_path, frames=1)
    (tmp_path / "train/shard-00000.tar").unlink()
    with pytest.raises(StorageError, match=r"shard-00000\.tar"):
        list(stream.samples())


def test_a_tar_cut_short_meanwhile(tmp_path: Path, build_tiny: Callable[..., Path]) -> None:
    build_tiny(tmp_path, (5,))
    stream = ClipStream(tmp_path, frames=1, max_bad=0)
    with (tmp_path / "train/shard-00000.tar").open("r+b") as tar:
        tar.truncate(100)
    with pytest.raises((BadSample, BadTar), match=r"sample d-v0-\d: the tar ends at byte"):
        list(stream.samples())
