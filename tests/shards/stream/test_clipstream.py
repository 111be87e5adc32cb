"""The specification of a stream: exact, elastic, resumable."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shards.errors import BadSample, NotADataset
from shards.mix import open_mixture
from shards.reader import open_dataset
from shards.stream import ClipBatch, ClipStream, collate

SIZE = 53  # clips in `tiny`


def keys(stream: Any, n: int | None = None) -> list[str]:
    return [item.key for item in itertools.islice(stream.samples(), n)]


def global_batches(
    path: Path, world_size: int, batches: int, *, size: int = 8, consumed: int = 0, **options: Any
) -> list[list[str]]:
    """Batch by batch, the keys that all ranks together get, in the order of the whole."""
    ranks = []
    for rank in range(world_size):
        ranked: dict[str, Any] = {"rank": rank, "world_size": world_size, **options}
        stream = ClipStream(path, frames=1, endless=True, **ranked)
        stream.load_state_dict({"consumed": consumed})
        own = itertools.islice(stream.batches(size // world_size), batches)
        ranks.append([batch.key for batch in own])
    interleaved = [list(zip(*of_ranks, strict=True)) for of_ranks in zip(*ranks, strict=True)]
    return [[key for step in batch for key in step] for batch in interleaved]


def test_an_epoch_has_every_clip_once_and_the_next_has_it_again(tiny: Path) -> None:
    stream = ClipStream(tiny, frames=1)
    first, second = keys(stream), keys(stream)
    assert sorted(first) == sorted(second) == sorted(open_dataset(tiny).entries)
    assert first != second
    assert stream.state_dict() == {"consumed": 2 * SIZE}
    assert stream.epoch_size == SIZE


def test_the_order_depends_on_the_seed_alone(tiny: Path) -> None:
    assert keys(ClipStream(tiny, frames=1, seed=4)) == keys(ClipStream(tiny, frames=1, seed=4))
    assert keys(ClipStream(tiny, frames=1, seed=4)) != keys(ClipStream(tiny, frames=1, seed=5))


@pytest.mark.parametrize("world_size", [2, 4])
def test_any_number_of_ranks_sees_the_same_global_batches(tiny: Path, world_size: int) -> None:
    # 20 batches of 8 are three epochs: batches that cross from one to the next are among them.
    assert global_batches(tiny, world_size, 20) == global_batches(tiny, 1, 20)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    stop=st.integers(0, 150), before=st.sampled_from([1, 2, 4]), after=st.sampled_from([1, 2, 4])
)
def test_stopped_anywhere_it_goes_on_with_any_number_of_ranks(
    tiny: Path, stop: int, before: int, after: int
) -> None:
    expected = keys(ClipStream(tiny, frames=1, endless=True), stop * before + 12)
    streams = [
        ClipStream(tiny, frames=1, rank=rank, world_size=before, endless=True)
        for rank in range(before)
    ]
    begun = [keys(stream, stop) for stream in streams]
    (state,) = {tuple(stream.state_dict().items()) for stream in streams}  # all ranks agree
    resumed = []
    for rank in range(after):
        stream = ClipStream(tiny, frames=1, rank=rank, world_size=after, endless=True)
        stream.load_state_dict(dict(state))
        resumed.append(keys(stream, 12 // after))
    done = [key for step in zip(*begun, strict=True) for key in step]
    assert done + [key for step in zip(*resumed, strict=True) for key in step] == expected


@pytest.mark.parametrize("world_size", [2, 3, 4, 7])
def test_ranks_share_an_epoch_without_gap_or_repeat(tiny: Path, world_size: int) -> None:
    streams = [
        ClipStream(tiny, frames=1, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    for epoch in (1, 2):
        parts = [keys(stream) for stream in streams]
        assert sorted(itertools.chain(*parts)) == sorted(open_dataset(tiny).entries)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert {stream.state_dict()["consumed"] for stream in streams} == {epoch * SIZE}


@pytest.mark.parametrize(("batch_size", "world_size"), [(1, 1), (4, 1), (10, 3), (60, 1)])
def test_batches_of_a_finite_epoch_leave_nothing_out(
    tiny: Path, batch_size: int, world_size: int
) -> None:
    got: list[str] = []
    for rank in range(world_size):
        stream = ClipStream(tiny, frames=1, rank=rank, world_size=world_size)
        got += [key for batch in stream.batches(batch_size) for key in batch.key]
        assert stream.state_dict() == {"consumed": SIZE}
    assert sorted(got) == sorted(open_dataset(tiny).entries)


def test_every_item_carries_the_state_to_go_on_from(tiny: Path) -> None:
    stream = ClipStream(tiny, frames=1, world_size=2)
    for batch in stream.batches(5):
        assert stream.state_dict() == {"consumed": batch.consumed}
        again = ClipStream(tiny, frames=1, world_size=2)
        again.load_state_dict(stream.state_dict())
        rest = [b.key for b in again.batches(5)]
    assert batch.consumed == SIZE
    assert rest  # from the end of an epoch on, the next one


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_items_say_where_they_stand_in_the_order_of_all_ranks(tiny: Path, rank: int) -> None:
    order = keys(ClipStream(tiny, frames=1, endless=True), 100)
    ranked: dict[str, Any] = {"frames": 1, "rank": rank, "world_size": 3, "endless": True}
    batches = ClipStream(tiny, **ranked).batches(4)
    for start, batch in zip((0, 12, 24), batches, strict=False):
        assert batch.positions == tuple(range(start + rank, start + 12, 3))
        assert batch.key == tuple(order[position] for position in batch.positions)
    samples = list(itertools.islice(ClipStream(tiny, **ranked).samples(), 20))
    assert [sample.position for sample in samples] == list(range(rank, 60, 3))
    assert collate(samples[:5]).positions == tuple(range(rank, 15, 3))


def test_resuming_decodes_nothing_that_was_consumed(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = ClipStream(tiny, frames=1, endless=True)
    read: list[str] = []
    files = stream._builder._reader
    original = files.read
    monkeypatch.setattr(files, "read", lambda s, c: (read.append(c.key), original(s, c))[1])
    stream.load_state_dict({"consumed": 10**9})
    assert keys(stream, 3) == read


def test_windows_lie_in_the_clip_evenly_spaced_and_repeat_with_the_seed(
    tmp_path: Path, build_tiny: Callable[..., Path]
) -> None:
    build_tiny(tmp_path, (20, 20), frames=30)
    samples = list(ClipStream(tmp_path, frames=8).samples())
    steps = Counter()
    for sample in samples:
        number = int(sample.key.rpartition("-")[2])
        within = (sample.frame_indices - number) // 10  # as the clip's json numbers its frames
        assert (sample.rgb[:, 0, 0, 0] == within * 8).all()
        (step,) = set(np.diff(within).tolist())
        assert 0 <= within[0] <= within[-1] < 30
        steps[step] += 1
    assert set(steps) == {1, 2, 3, 4}
    again, other = ClipStream(tmp_path, frames=8), ClipStream(tmp_path, frames=8, seed=1)
    assert [s.frame_indices.tolist() for s in again.samples()] == [
        s.frame_indices.tolist() for s in samples
    ]
    by_key = {s.key: s.frame_indices.tolist() for s in samples}
    assert any(by_key[s.key] != s.frame_indices.tolist() for s in other.samples())
    next_epoch = {s.key: s.frame_indices.tolist() for s in again.samples()}
    assert next_epoch != by_key


def test_single_images_come_from_anywhere_in_a_clip(
    tmp_path: Path, build_tiny: Callable[..., Path]
) -> None:
    build_tiny(tmp_path, (60,), frames=5)
    levels = Counter(int(s.rgb[0, 0, 0, 0]) // 8 for s in ClipStream(tmp_path, frames=1).samples())
    assert set(levels) == set(range(5))


def test_short_clips_are_left_out_and_all_of_them_are_an_error(
    tmp_path: Path, build_tiny: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    build_tiny(tmp_path / "long", (3,), frames=8, name="long")
    build_tiny(tmp_path / "short", (4,), frames=2, name="short")
    both = ClipStream([tmp_path / "long", tmp_path / "short"])
    assert both.epoch_size == 3
    assert "4 of 7 clips have fewer than 8 frames" in caplog.text
    with pytest.raises(NotADataset, match="none of 4 clips has 8 frames"):
        ClipStream(tmp_path / "short")


def test_without_shuffling_clips_come_as_stored_from_their_first_frame(
    tmp_path: Path, build_tiny: Callable[..., Path]
) -> None:
    build_tiny(tmp_path, (2, 3), frames=9)
    samples = list(ClipStream(tmp_path, frames=4, shuffle=False).samples())
    assert [s.key for s in samples] == list(open_dataset(tmp_path).entries)
    assert samples[1].frame_indices.tolist() == [1, 11, 21, 31]


def test_datasets_are_joined_or_mixed_by_weight(
    tmp_path: Path, tiny: Path, build_tiny: Callable[..., Path]
) -> None:
    other = build_tiny(tmp_path, (5,), name="other")
    assert ClipStream([tiny, other], frames=1).epoch_size == SIZE + 5
    mixed = ClipStream([tiny, other], frames=1, weights=(3, 1), endless=True)
    got = keys(mixed, 1000)
    assert Counter(key[0] for key in got)["o"] == pytest.approx(250, abs=40)
    resumed = ClipStream([tiny, other], frames=1, weights=(3, 1), endless=True)
    resumed.load_state_dict({"consumed": 617})
    assert keys(resumed, 383) == got[617:]
    with pytest.raises(ValueError, match="1 weights for 2 paths"):
        ClipStream([tiny, other], frames=1, weights=(1,))


def test_collated_samples_are_the_batches_of_the_stream(tiny: Path) -> None:
    samples = list(ClipStream(tiny, frames=1).samples())
    for batch in ClipStream(tiny, frames=1).batches(8):
        assert isinstance(batch, ClipBatch)
        collated = collate([samples.pop(0) for _ in range(len(batch))])
        assert (collated.key, collated.consumed) == (batch.key, batch.consumed)
        np.testing.assert_array_equal(collated.rgb, batch.rgb)
        np.testing.assert_array_equal(collated.frame_indices, batch.frame_indices)


def test_mistakes_are_told_at_once(tiny: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"rank": 2, "world_size": 2}, "rank 2 is not one of 2"),
        ({"modalities": ["heat"]}, "no such modality: heat"),
        ({"cut": "haop", "frames": 2}, "single images"),
        ({"crop_area": (0.5, 1.5)}, "crop_area"),
        ({"mirror": 2}, "mirror"),
        ({"window": 0}, "window"),
        ({"depth": "zoe"}, "'zoe' is not one of person, frame"),
    ):
        with pytest.raises(ValueError, match=message):
            ClipStream(tiny, **{"frames": 1, **options})
    with pytest.raises(ValueError, match="at least 1 sample, not 0"):
        ClipStream(tiny, frames=1).batches(0)
    with pytest.raises(BadSample, match=r"shard-0000\d\.tar: sample d-v\d-\d: has no pose"):
        ClipStream(tiny, frames=1, modalities=["pose"])
    with pytest.raises(NotADataset, match=r"no split 'test'; there are: train"):
        ClipStream(tiny, frames=1, split="test")
    with pytest.raises(NotADataset):
        ClipStream(tmp_path / "absent")
    with pytest.raises(ValueError, match="not the state of a stream"):
        ClipStream(tiny, frames=1).load_state_dict({"epoch": 3})
    wrong: tuple[Any, ...] = ("3", 1.5, True, -1, None)
    for consumed in wrong:
        with pytest.raises(ValueError, match="not the state of a stream"):
            ClipStream(tiny, frames=1).load_state_dict({"consumed": consumed})
    mixture = open_mixture([tiny, tiny], (1e9, 1.0))
    with pytest.raises(
        ValueError, match=rf"less than one sample in 10000: 1e\+09 of .*{tiny.name}"
    ):
        ClipStream(mixture, frames=1)
