"""The store gives back what was put in, computes nothing twice, and survives what processes do."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from idol.evaluate.errors import EvaluationError
from idol.evaluate.features import FeatureStore, VideoRows, content_digest, extract
from idol.evaluate.moments import Moments, read_rows


class Means:
    """A network of three features: the mean colour of each frame. It counts what it is shown."""

    features = 3

    def __init__(self, fingerprint: str = "means") -> None:
        self.fingerprint = fingerprint
        self.shown: list[int] = []

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        self.shown.append(len(frames))
        return frames.mean((1, 2)).astype(np.float32)


def videos(numbers: list[int], frames: int = 5) -> list[tuple[str, Callable[[], np.ndarray]]]:
    arrays = {n: np.random.default_rng(n).random((frames, 4, 4, 3)) for n in numbers}
    return [(content_digest(arrays[n]), lambda n=n: arrays[n]) for n in numbers]


def test_features_come_in_the_order_asked_for_and_are_computed_once(tmp_path: Path) -> None:
    network = Means()
    asked = videos([3, 1, 4, 1, 5])
    rows = extract(network, FeatureStore(tmp_path, network), asked, batch=8)
    for number, (_, frames) in enumerate(asked):
        expected = frames().mean((1, 2)).astype(np.float32)
        np.testing.assert_array_equal(rows.read([number]), expected)
    assert sum(network.shown) == 4 * 5
    assert max(network.shown) >= 8
    again = extract(network, FeatureStore(tmp_path, network), [*asked, *videos([9])])
    assert network.shown[-1] == 5
    assert sum(network.shown) == 5 * 5
    np.testing.assert_array_equal(again.read(range(5)), rows.read(range(5)))


def test_other_networks_and_preparations_have_features_of_their_own(tmp_path: Path) -> None:
    (digest, frames), *_ = videos([1])
    FeatureStore(tmp_path, Means(), {"size": 4}).add(digest, frames().mean((1, 2)))
    assert FeatureStore(tmp_path, Means(), {"size": 4}).get(digest) is not None
    assert FeatureStore(tmp_path, Means(), {"size": 8}).get(digest) is None
    assert FeatureStore(tmp_path, Means("other"), {"size": 4}).get(digest) is None


def test_content_is_values_shape_and_type() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    same = np.asfortranarray(frames.copy())
    assert content_digest(frames) == content_digest(same)
    others = (frames.reshape(2, 4, 3), frames.view(np.int8), frames[::-1])
    assert len({content_digest(each) for each in (frames, *others)}) == 4


def test_what_a_killed_process_left_harms_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, Means())
    store.add("a", np.ones((2, 3)))
    with (store.folder / "rows.f32").open("ab") as file:
        file.write(b"\1\2\3\4\5")
    with (store.folder / "index.jsonl").open("ab") as file:
        file.write(b'{"video": "b", "st')
    later = FeatureStore(tmp_path, Means())
    later.add("c", np.full((1, 3), 7))
    fresh = FeatureStore(tmp_path, Means())
    assert len(fresh) == 2
    np.testing.assert_array_equal(
        fresh.videos(["c", "a"]).read([0, 1]), [[7] * 3, [1] * 3, [1] * 3]
    )
    np.testing.assert_array_equal(store.get("c"), [[7] * 3])
    with pytest.raises(EvaluationError, match="no features of video b"):
        fresh.videos(["b"])


def test_damaged_rows_are_computed_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = Means()
    asked = videos([1, 2])
    store = FeatureStore(tmp_path, network)
    before = extract(network, store, asked).read([0, 1])
    with (store.folder / "rows.f32").open("r+b") as file:
        file.write(b"\xff\xff")
    after = extract(network, FeatureStore(tmp_path, network), asked)
    np.testing.assert_array_equal(after.read([0, 1]), before)
    assert sum(network.shown) == 3 * 5
    assert "computed anew" in caplog.text


def _add(folder: Path, first: int) -> None:
    store = FeatureStore(folder, Means())
    for number in range(first, first + 20):
        store.add(str(number), np.full((number % 4, 3), number))


def test_several_processes_write_one_store(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add, args=(tmp_path, 20 * n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    store = FeatureStore(tmp_path, Means())
    for number in range(60):
        rows = store.get(str(number))
        assert rows is not None
        assert rows.shape == (number % 4, 3)
        assert (rows == number).all()
    lines = (store.folder / "index.jsonl").read_text().splitlines()
    assert sorted(int(json.loads(line)["video"]) for line in lines) == list(range(60))


def test_moments_of_a_mapped_file_are_those_of_its_rows(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((9001, 6)).astype(np.float32)
    rows.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.float32, "r", shape=rows.shape)
    counts = [1, 0, 4000, 5000]
    moments = VideoRows.of(mapped, counts).moments()
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T.astype(float)), rtol=1e-9)
    assert moments.count == 9001
    for part in (mapped, mapped[100:], mapped[::2]):
        np.testing.assert_array_equal(read_rows(part, 5, 9), np.asarray(part)[5:9])
        assert Moments.of(part).count == len(part)
    np.testing.assert_array_equal(read_rows(mapped, 8999, 9999), rows[8999:])


def test_counts_are_those_of_the_rows() -> None:
    with pytest.raises(EvaluationError, match="their videos have 7 rows"):
        VideoRows.of(np.zeros((8, 2)), [3, 4])
    empty = VideoRows.of(np.zeros((0, 2)), [0, 0])
    assert empty.read([0, 1]).shape == (0, 2)
    assert [*empty.blocks()] == [] or all(len(block) == 0 for block in empty.blocks())
