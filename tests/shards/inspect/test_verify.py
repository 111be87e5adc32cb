"""`verify` on each kind of damage: each fault is found, with its file and key."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from shards.dataset import FILE, fingerprint, open_for_build
from shards.errors import NotADataset
from shards.files.digest import canonical_json
from shards.inspect.verify import _time_faults, verify
from shards.manifest import manifest_bytes
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.sample.images import encode_png
from shards.writer import commit_shard

MakeClip = Callable[..., Clip]
KEY = "videos-walk-0"
TAR, MANIFEST = "train/shard-00000.tar", "train/shard-00000.json"
BUILD_AGAIN = "run the same build command again, which writes it anew and keeps the shards"


def _faults(root: Path | str) -> list[tuple[str, str, str]]:
    return [(fault.file, fault.key, fault.what) for fault in verify(root)]


@pytest.fixture
def rewritten(tmp_path: Path, make_clip: MakeClip) -> Callable[..., list[tuple[str, str, str]]]:
    """Faults of a dataset of one clip, some members of which were replaced (None: left out)."""

    def faults(changes: dict[str, bytes | None]) -> list[tuple[str, str, str]]:
        build = open_for_build(tmp_path / "d", {})
        members = dict(encode_clip(make_clip(KEY)))
        members |= {f"{KEY}.{suffix}": data for suffix, data in changes.items()}
        kept = [(name, data) for name, data in members.items() if data is not None]
        commit_shard(build.store, "train", 0, [(KEY, kept)])
        build.finish({"train": 1})
        return _faults(tmp_path / "d")

    return faults


def test_a_sound_dataset_has_no_faults(
    dataset: Path, memory_url: str, build: Callable[[str], None]
) -> None:
    build(memory_url)
    for path in (dataset, dataset / "train", dataset / TAR, memory_url):
        assert _faults(path) == []


def test_a_flipped_bit(dataset: Path) -> None:
    data = bytearray((dataset / TAR).read_bytes())
    # In the last sample's last member: a JPEG decodes all the same, the checksum tells.
    data[data.rindex(b"\xff\xd9") - 40] ^= 1
    (dataset / TAR).write_bytes(data)
    advice = "delete shard-00000.json and run the same build command again"
    assert (TAR, "", f"checksum differs from its manifest's: {advice}") in _faults(dataset)


def test_a_truncated_tar_names_the_samples_lost(dataset: Path) -> None:
    samples = json.loads((dataset / MANIFEST).read_bytes())["samples"]
    whole = (dataset / TAR).read_bytes()
    (dataset / TAR).write_bytes(whole[: samples[1]["offset"] + 700])
    faults = _faults(dataset)
    assert [key for _, key, _ in faults] == ["", "videos-walk-16"]
    assert "its manifest says" in faults[0][2]
    (dataset / TAR).write_bytes(b"")
    assert {key for _, key, _ in _faults(dataset)} == {"", "videos-walk-0", "videos-walk-16"}


def test_garbage_in_place_of_a_tar(dataset: Path) -> None:
    (dataset / TAR).write_bytes(np.random.default_rng(0).bytes((dataset / TAR).stat().st_size))
    faults = _faults(dataset)
    assert {file for file, _, _ in faults} == {TAR}
    assert {key for _, key, _ in faults} == {"", "videos-walk-0", "videos-walk-16"}
    assert _faults(dataset / TAR) == [("shard-00000.tar", k, w) for _, k, w in faults]


def test_missing_files(dataset: Path) -> None:
    (dataset / TAR).unlink()
    (dataset / "train/shard-00001.json").unlink()
    (dataset / "val/shard-00000.tar").unlink()
    (dataset / "val/shard-00000.json").unlink()
    (dataset / "index.parquet").unlink()
    assert [(file, re.split("[,:]", what)[0]) for file, _, what in _faults(dataset)] == [
        (TAR, "is missing"),
        ("train/shard-00001.tar", "has no manifest"),
        ("val/shard-00000.tar", "is missing"),
        ("index.parquet", "is missing"),
    ]


def test_damaged_books(dataset: Path) -> None:
    (dataset / MANIFEST).write_bytes(b"{}")
    (dataset / "index.parquet").write_bytes(b"PAR1")
    file = dataset / FILE
    sound = file.read_bytes()
    file.write_bytes(b"{")
    assert [fault[0] for fault in _faults(dataset)] == ["dataset.json", MANIFEST]
    file.write_bytes(sound)
    assert [fault[0] for fault in _faults(dataset)] == [MANIFEST, "index.parquet"]
    file.unlink()
    assert "is missing: run the same build" in {f: w for f, _, w in _faults(dataset)}[FILE]
    (dataset / MANIFEST).write_bytes(b"[" * 100_000)
    assert (MANIFEST, "", "is not JSON (nested too deep)") in _faults(dataset)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("totals", {"splits": []}),
        ("totals", {"splits": {"train": 3}}),
        ("totals", {"splits": {"train": {"shards": "x"}}}),
        ("recipe", {"clip_length": 3, "frame_step": 1, "stride": "x"}),
    ],
)
def test_books_of_another_shape(dataset: Path, name: str, value: dict) -> None:
    said = json.loads((dataset / FILE).read_bytes()) | {name: value}
    said["fingerprint"] = fingerprint(said["recipe"])
    (dataset / FILE).write_text(json.dumps(said))
    faults = _faults(dataset)
    assert faults
    assert all(file == FILE or "another recipe" in what for file, _, what in faults)


def test_totals_that_claim_more_shards_than_anybody_has(dataset: Path) -> None:
    said = json.loads((dataset / FILE).read_bytes())
    said["totals"]["splits"]["train"]["shards"] = 100_000
    (dataset / FILE).write_text(json.dumps(said))
    faults = _faults(dataset)
    assert ("train", "", "98998 shards more are missing") in faults
    assert len(faults) < 1010


def test_a_shard_of_another_recipe(dataset: Path) -> None:
    commit_shard(dataset, "val", 0, [], fingerprint="0" * 64)
    assert [(file, what.partition(" than ")[0]) for file, _, what in _faults(dataset)] == [
        ("val/shard-00000.json", "was made with another recipe"),
        ("manifests.gz", f"differs from val/shard-00000.json: {BUILD_AGAIN}"),
    ]


def test_a_tar_of_no_bytes_is_not_an_empty_tar(dataset: Path) -> None:
    manifest = commit_shard(dataset, "val", 0, [])
    assert manifest.bytes > 0
    (dataset / "val/shard-00000.tar").write_bytes(b"")
    nothing = replace(manifest, bytes=0, sha256=hashlib.sha256().hexdigest())
    (dataset / "val/shard-00000.json").write_bytes(manifest_bytes(nothing))
    assert [fault[0] for fault in _faults(dataset)] == ["val/shard-00000.json"]
    (dataset / "val/shard-00000.json").unlink()
    ((_, _, what),) = _faults(dataset / "val/shard-00000.tar")
    assert "is no tar, or cut short" in what


def test_an_index_that_disagrees(dataset: Path, make_clip: MakeClip) -> None:
    clip = make_clip("videos-walk-1")
    clip.info["split"] = "val"
    commit_shard(dataset, "val", 0, [(clip.key, encode_clip(clip))])
    assert _faults(dataset) == [
        ("dataset.json", "", f"totals are not those of the manifests: {BUILD_AGAIN}"),
        ("index.parquet", "videos-walk-1", f"has no row for this sample: {BUILD_AGAIN}"),
    ]


def test_collected_manifests_that_disagree(dataset: Path) -> None:
    """Readers of an object store believe them where a manifest has the size that they say."""
    path = dataset / "manifests.gz"
    sound = path.read_bytes()
    lines = gzip.decompress(sound).replace(b"videos-walk-0", b"videos-walk-9")
    path.write_bytes(gzip.compress(lines))
    ((file, _, what),) = _faults(dataset)
    assert file == "manifests.gz"
    assert what.startswith(f"differs from {MANIFEST}: run the same build command again")
    path.write_bytes(sound[:-9])
    ((file, _, what),) = _faults(dataset)
    assert what.startswith("is damaged: run the same build command again")
    path.unlink()  # each manifest is asked for
    assert _faults(dataset) == []


def test_collected_manifests_are_not_blamed_for_one_that_is_lost(
    tmp_path: Path, make_clip: MakeClip
) -> None:
    """How much of them may be unpacked follows from the manifests' sizes."""
    books = open_for_build(tmp_path / "d", {})
    for shard, firsts in enumerate([range(0, 80, 8), range(80, 88, 8)]):
        clips = [make_clip(f"videos-walk-{first}") for first in firsts]
        encoded = [(clip.key, encode_clip(clip)) for clip in clips]
        commit_shard(books.store, "train", shard, encoded)
    books.finish({"train": 2})
    assert _faults(tmp_path / "d") == []
    (tmp_path / "d" / MANIFEST).write_bytes(b"")
    assert "manifests.gz" not in {file for file, _, _ in _faults(tmp_path / "d")}


def test_an_index_from_before_a_modality_came_to_the_table(dataset: Path) -> None:
    path = dataset / "index.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["bytes_normals"]), path)
    assert _faults(dataset) == []
    pq.write_table(table.drop_columns(["bytes_rgb"]), path)
    assert "differs from the manifest in bytes_rgb" in _faults(dataset)[0][2]


def test_a_key_in_two_shards(dataset: Path, make_clip: MakeClip) -> None:
    clip = make_clip(KEY)
    build = open_for_build(dataset, {"size": 32})
    commit_shard(dataset, "train", 1, [(clip.key, encode_clip(clip))])
    build.finish({"train": 2, "val": 1})
    assert _faults(dataset)[0] == ("train/shard-00001.tar", KEY, f"is in {TAR} too")
    assert ("shard-00001.tar", KEY, "is in shard-00000.tar too") in _faults(dataset / "train")


def test_an_unfinished_build(dataset: Path) -> None:
    open_for_build(dataset, {"size": 32})
    assert [what for _, _, what in _faults(dataset)] == [
        "status is building: run the build again to finish it"
    ]


def _npy(keypoints: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, keypoints)
    return file.getvalue()


# The header alone says the size, and it is all that may be read.
_BOMB = encode_png(np.zeros((24, 32), np.uint8))
_BOMB = _BOMB[:16] + struct.pack(">II", 30000, 30000) + _BOMB[24:]
_POINTS = np.full((3, 1, 18, 3), 0.5, np.float32)


@pytest.mark.parametrize(
    ("suffix", "data", "what"),
    [
        ("rgb.001.jpg", None, f"{KEY}.rgb.001.jpg: missing"),
        ("rgb.003.jpg", b"\xff\xd8\xff\xd9", "cannot be decoded"),
        ("mask.001.png", b"garbage", "not a JPEG or PNG"),
        ("mask.001.png", encode_png(np.zeros((24, 31), np.uint8)), "is 31x24, not 32x24"),
        ("mask.001.png", _BOMB, "image is 30000x30000, more than"),
        ("mask.001.png", encode_png(np.zeros((24, 32), np.uint16)), "wrong for mask"),
        ("depth_frame.001.png", encode_png(np.zeros((24, 32), np.uint8)), "wrong for depth_frame"),
        ("pose.003.png", encode_png(np.zeros((24, 32, 3), np.uint8)), "json says 3 frames"),
        (
            "depth_person.002.png",
            encode_png(np.full((24, 32, 3), 99, np.uint8)),
            "768 pixels are no col",
        ),
        ("keypoints.npy", _npy(_POINTS * np.nan), "162 values are not finite"),
        ("keypoints.npy", _npy(_POINTS[:2]), "has 2 frames, json says 3"),
        ("keypoints.npy", _npy(_POINTS[:, :0]), "has 0 people of 18 joints"),
        ("keypoints.npy", _npy(_POINTS * 3), r"outside [0, 1]"),
        ("keypoints.npy", _npy(_POINTS.astype(np.float64)), "not float32"),
        ("heat.000.png", b"", "no such modality"),
    ],
)
def test_what_a_checksum_cannot_see(
    rewritten: Callable[..., list], suffix: str, data: bytes | None, what: str
) -> None:
    faults = rewritten({suffix: data})
    assert {(file, key) for file, key, _ in faults} == {(TAR, KEY)}
    assert any(what in said for _, _, said in faults), faults


def test_a_json_that_contradicts_its_sample(rewritten: Callable[..., list]) -> None:
    info = {
        "key": KEY,
        "split": "val",
        "frame_indices": [0, 2, 2, 3],
        "timestamps": [0.0],
        "size": [24, 32],
    }
    said = " | ".join(what for _, _, what in rewritten({"json": json.dumps(info).encode()}))
    for what in ("split 'val'", "do not rise", "timestamps", "32x24, not 24x32", "003.jpg: miss"):
        assert what in said


@pytest.mark.parametrize(
    ("reference", "gone", "what"),
    [
        ({}, "background.jpg", "json: describes a reference frame, but there is no background"),
        ({}, "reference.jpg", "json: describes a reference frame, but there is no reference"),
        ({}, "background_mask.png", "has reference_mask, but no background_mask"),
        ({}, "reference_mask.png", "has background_mask, but no reference_mask"),
        ({"coverage": 0.9}, "", "json: reference coverage is 0.9000, reference_mask covers 0."),
        ({"coverage": None}, "", "json: reference coverage is None, reference_mask covers 0."),
        ({"coverage": True}, "", "json: reference coverage is True, reference_mask covers 0."),
        ({"person": "yes"}, "", "says 'yes' of the person"),
        ({"frame": -1}, "", "reference frame -1 is no whole number"),
        ({"box": [0, 0, 24, 20]}, "", "reference box [0, 0, 24, 20] is no square"),
        ({"box": 5}, "", "reference box 5 is no square"),
        ({"background_shift": [1, "2"]}, "", "is no pair of numbers"),
        ({"joints": [[1, 2, 3]] * 17}, "", "reference joints are not 18 times x, y and a score"),
        ({"joints": [[1, 2, None]] * 18}, "", "reference joints are not 18 times"),
    ],
)
def test_a_json_that_contradicts_its_reference(
    rewritten: Callable[..., list],
    make_clip: MakeClip,
    reference: dict[str, object],
    gone: str,
    what: str,
) -> None:
    info = make_clip(KEY).info
    changed = {**info, "key": KEY, "reference": {**info["reference"], **reference}}
    changes: dict[str, bytes | None] = {"json": canonical_json(changed)}
    faults = rewritten(changes | ({gone: None} if gone else {}))
    assert {(file, key) for file, key, _ in faults} == {(TAR, KEY)}
    assert any(what in said for _, _, said in faults), faults


def test_a_reference_that_shows_nobody_though_the_json_says_so(
    rewritten: Callable[..., list],
) -> None:
    empty = encode_png(np.zeros((24, 32), np.uint8))
    whats = [what for _, _, what in rewritten({"reference_mask.png": empty})]
    assert "json: the reference shows a person, but reference_mask is empty" in whats
    assert len(whats) == 2  # and the coverage
    # One that cannot be decoded is told once, and not as if it were absent.
    [what] = [what for _, _, what in rewritten({"background.jpg": b"garbage"})]
    assert "not a JPEG" in what


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"first_frame": 1}, "the key says"),
        ({"frame_indices": [17, 18, 19]}, "frame_indices begin with 17"),
        ({"frame_indices": [16, 17, 19]}, "not evenly spaced"),
        ({"timestamps": [1.6, 1.8, 1.7]}, "timestamps do not rise"),
        ({"timestamps": [1.6, 1.6, 1.7]}, "timestamps do not rise"),
        ({"timestamps": [1.6, "a", 1.8]}, "timestamps are not finite numbers"),
        ({"timestamps": [float("nan"), 1.6, 1.6]}, "timestamps are not finite numbers"),
        ({"fps": 0.016}, "fps is 0.016, timestamps are 10 a second"),
    ],
)
def test_keys_frame_numbers_and_times_agree(make_clip: MakeClip, changes: dict, what: str) -> None:
    clip = make_clip("videos-walk-16")
    assert not list(_time_faults(clip.key, clip.info))
    (said,) = [w for w in _time_faults(clip.key, {**clip.info, **changes}) if what in w]
    assert said.startswith("json: ")


def test_clips_that_repeat_frames_of_another(tmp_path: Path, make_clip: MakeClip) -> None:
    """Unless the recipe's stride makes them overlap."""
    for stride, overlapping in ((3, 1), (1, 0)):
        root = tmp_path / str(stride)
        recipe = {"clip_length": 3, "frame_step": 1, "stride": stride}
        build = open_for_build(root, recipe, software={})
        clips = [make_clip(f"videos-walk-{first}") for first in (0, 3, 5, 8)]
        commit_shard(
            root,
            "train",
            0,
            [(clip.key, encode_clip(clip)) for clip in clips],
            [],
            fingerprint=build.info.fingerprint,
        )
        build.finish({"train": 1})
        repeated = [(key, what) for _, key, what in _faults(root)]
        assert (
            repeated
            == [("videos-walk-5", "begins 2 frames after videos-walk-3, and repeats frames of it")][
                :overlapping
            ]
        )


def test_a_json_that_claims_a_million_frames_gives_a_fault_a_modality(
    rewritten: Callable[..., list],
) -> None:
    info = {"key": KEY, "frame_indices": list(range(1_000_000)), "size": [32, 24]}
    whats = [what for _, _, what in rewritten({"json": json.dumps(info).encode()})]
    missing = [what for what in whats if what.endswith("missing")]
    assert len(missing) == 5
    assert f"{KEY}.mask.003.png to {KEY}.mask.999999.png (999997 frames): missing" in missing
    assert len(whats) == 6  # and the key points


def test_all_faults_are_reported(rewritten: Callable[..., list]) -> None:
    bad = {f"mask.00{t}.png": b"" for t in range(3)} | {"pose.001.png": None, "json": None}
    with pytest.raises(Exception, match="no json"):
        rewritten(bad)  # the writer refuses a sample without a json, so leave that one
    del bad["json"]
    assert len(rewritten(bad)) == 4


def test_bytes_between_samples(dataset: Path) -> None:
    manifest = json.loads((dataset / MANIFEST).read_bytes())
    manifest["samples"] = manifest["samples"][1:]
    (dataset / MANIFEST).write_text(json.dumps(manifest))
    whats = [what for _, _, what in _faults(dataset)]
    assert any("belong to no sample" in what for what in whats)


def test_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(NotADataset):
        list(verify(str(tmp_path)))
