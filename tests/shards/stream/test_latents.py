"""Streaming cached latents: the clips and frames of a stream without, and only what is theirs."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.errors import LatentsMissing, NotADataset, OldSchema
from shards.files.storage import Store
from shards.latents import LatentsInfo, encode_members, open_for_encoding
from shards.reader import open_dataset, read_sample
from shards.sample.codec import decode_info
from shards.stream import ClipStream, collate
from shards.stream.loader import ClipLoader
from shards.writer import commit_shard

INFO = LatentsInfo(vae_sha256="ab" * 32, size=24, channels=2, factor=4, precision="float32")
OTHER = LatentsInfo(vae_sha256="cd" * 32, size=24, channels=2, factor=4, precision="float32")
SHAPE = (4, 6, 6)
NUMBERS = {"rgb": 0, "pose": 100, "depth_person": 200, "depth_frame": 300}


def numbered(root: Path, info: LatentsInfo = INFO, names: Any = NUMBERS) -> None:
    """Latents that say whose they are: number + 10 clip + frame, and 1000 more in each channel."""
    store = open_for_encoding(Store.at(root), info)
    channels = np.arange(4).reshape(4, 1, 1) * 1000
    for shard in open_dataset(root).shards:
        samples = []
        for sample in shard.manifest.samples:
            about = decode_info(read_sample(open_dataset(root).find(sample.key)))
            clip = 10 * int(sample.key[-1])
            frames = np.arange(sample.frames).reshape(-1, 1, 1, 1) + clip + channels
            moments = {
                f"{name}_latents": np.broadcast_to(frames + NUMBERS[name], (sample.frames, *SHAPE))
                for name in names
            }
            moments["background_latents"] = np.broadcast_to(clip + channels - 1000, SHAPE)
            samples.append((sample.key, encode_members(sample.key, about, moments)))
        manifest = shard.manifest
        commit_shard(
            *(store, manifest.split, manifest.index, samples),
            fingerprint=info.fingerprint(manifest),
        )


@pytest.fixture
def encoded(full: Path, tmp_path: Path) -> Path:
    root = tmp_path / "data"
    shutil.copytree(full, root)
    numbered(root)
    return root


def test_frames_are_those_of_the_images(encoded: Path) -> None:
    """The same draws: window and order are as without latents."""
    options: dict[str, Any] = {"frames": 3, "seed": 5, "depth": "frame"}
    plain = ClipStream(encoded, **options)
    cached = ClipStream(encoded, **options, latents=True)
    for with_images, item in itertools.islice(
        zip(plain.samples(), cached.samples(), strict=True), 5
    ):
        assert item.key == with_images.key
        indices = item.frame_indices
        np.testing.assert_array_equal(indices, with_images.frame_indices)
        clip = 10 * int(item.key[-1])
        for name, number in (("rgb", 0), ("pose", 100), ("depth", 300)):
            array = item[f"{name}_latents"]
            assert (array.dtype, array.shape) == (np.float16, (3, *SHAPE))
            np.testing.assert_array_equal(array[:, 0, 0, 0], clip + indices + number)
            assert item[name] is None
        assert item.rgb_latents[0, 3, 5, 5] - item.rgb_latents[0, 0, 5, 5] == 3000
        assert item.background_latents.shape == SHAPE
        assert item.background_latents[0, 0, 0] == clip - 1000
        assert item.background is None
        assert item.background_mask is None
        np.testing.assert_array_equal(item.foreground, with_images.foreground)
        np.testing.assert_array_equal(item.foreground_mask, with_images.foreground_mask)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_and_workers_give_the_same(encoded: Path, workers: int) -> None:
    options: dict[str, Any] = {"frames": 2, "latents": INFO.folder, "endless": True}
    expected = ClipStream(encoded, **options)
    loader = ClipLoader(ClipStream(encoded, **options), 2, workers=workers)
    samples = expected.samples()
    for batch in itertools.islice(loader, 6):
        together = collate([next(samples), next(samples)])
        assert batch.key == together.key
        for name in ("rgb_latents", "depth_latents", "background_latents", "foreground"):
            np.testing.assert_array_equal(batch[name].numpy(), together[name])


@pytest.mark.parametrize("cut", ["hap", "haop"])
def test_pre_training_caches_the_image_and_cuts_the_rest(encoded: Path, cut: Any) -> None:
    options: dict[str, Any] = {"frames": 1, "modalities": ("rgb", "reference"), "cut": cut}
    plain, cached = ClipStream(encoded, **options), ClipStream(encoded, **options, latents=True)
    for with_images, item in zip(plain.samples(), cached.samples(), strict=True):
        assert item.rgb is None
        assert item.background_latents is None
        assert item.rgb_latents[0, 0, 0, 0] == 10 * int(item.key[-1]) + item.frame_indices[0]
        for name in ("foreground", "foreground_mask", "background", "background_mask"):
            np.testing.assert_array_equal(item[name], with_images[name])


def test_a_split_s_folder_and_a_tar_find_them_too(encoded: Path) -> None:
    for path in (encoded / "train", encoded / "train" / "shard-00001.tar"):
        item = next(ClipStream(path, frames=1, latents=True).samples())
        assert item.rgb_latents[0, 0, 0, 0] == 10 * int(item.key[-1]) + item.frame_indices[0]


def test_whole_shards_are_cached_from_an_object_store(
    encoded: Path, tmp_path: Path, memory_url: str
) -> None:
    for path in encoded.rglob("*.*"):
        Store.at(memory_url).write_bytes(str(path.relative_to(encoded)), path.read_bytes())
    options: dict[str, Any] = {"frames": 2, "latents": True}
    local = list(ClipStream(encoded, **options).samples())
    for cache in (None, tmp_path / "cache"):
        remote = ClipStream(memory_url, cache=cache, **options)
        for here, there in zip(local, remote.samples(), strict=True):
            np.testing.assert_array_equal(here.rgb_latents, there.rgb_latents)
    assert len(list((tmp_path / "cache").glob("*.tar"))) == 4


def test_crop_and_mirror_are_refused(encoded: Path) -> None:
    for options in ({"mirror": 0.5}, {"crop_area": (0.5, 1.0)}):
        with pytest.raises(ValueError, match="latents are those of whole, unchanged images"):
            ClipStream(encoded, latents=True, **options)


def test_another_hole_than_the_grey_one_is_refused(encoded: Path) -> None:
    with pytest.raises(ValueError, match="cached latents are of backgrounds with a grey hole"):
        ClipStream(encoded, latents=True, hole="filled")


def test_what_is_missing_is_named_with_its_command(
    encoded: Path, full: Path, tmp_path: Path
) -> None:
    with pytest.raises(LatentsMissing, match=f"`idol-prep encode {full} --base"):
        ClipStream(full, latents=True)
    with pytest.raises(LatentsMissing, match=f"{INFO.folder}, of another VAE or size"):
        ClipStream(encoded, latents=OTHER.folder)
    numbered(encoded, OTHER)
    with pytest.raises(LatentsMissing, match="name one of"):
        ClipStream(encoded, latents=True)
    (encoded / OTHER.folder / "train" / "shard-00001.json").unlink()
    with pytest.raises(LatentsMissing, match="1 of 2 shards have no latents"):
        ClipStream(encoded, latents=OTHER.folder)
    shutil.copytree(full, tmp_path / "second")
    numbered(tmp_path / "second", OTHER)
    shutil.rmtree(encoded / OTHER.folder)
    with pytest.raises(LatentsMissing, match="encode all datasets of a stream with one VAE"):
        ClipStream([encoded, tmp_path / "second"], latents=True)


def test_latents_of_another_version_are_refused(encoded: Path) -> None:
    dataset = open_dataset(encoded)
    samples = [(key, read_sample(dataset.find(key))) for key in list(dataset.entries)[3:4]]
    commit_shard(encoded, "train", 1, samples)
    with pytest.raises(LatentsMissing, match="1 of 2 shards changed since"):
        ClipStream(encoded, latents=True)


def test_a_modality_without_latents_is_told(full: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(full, root)
    numbered(root, names=("rgb", "depth_person"))
    with pytest.raises(LatentsMissing, match="videos-walk-0: has no pose_latents"):
        ClipStream(root, latents=True)
    assert ClipStream(root, modalities=("rgb", "depth"), latents=True).epoch_size == 5


def test_damaged_latents_count_as_a_clip_that_cannot_be_read(encoded: Path) -> None:
    tar = encoded / INFO.folder / "train" / "shard-00000.tar"
    data = tar.read_bytes()
    # A header of an array that says another type: float32 for float16.
    at = data.index(b"'<f2'", data.index(b"videos-walk-1.rgb_latents.npy"))
    tar.write_bytes(data[:at] + b"'<f4'" + data[at + 5 :])
    stream = ClipStream(encoded, frames=2, latents=True)
    keys = [item.key for item in stream.samples()]
    assert "videos-walk-1" not in keys
    [line] = stream.skipped
    assert "videos-walk-1.rgb_latents.npy: holds float32" in line


def test_latents_alone_are_no_dataset_to_verify(encoded: Path) -> None:
    from shards.inspect.verify import verify

    with pytest.raises(NotADataset, match="verified with their dataset"):
        list(verify(str(encoded / INFO.folder)))


def test_a_dataset_s_own_shards_are_its_only_ones(encoded: Path) -> None:
    assert [shard.name for shard in open_dataset(encoded).shards] == [
        "train/shard-00000.tar",
        "train/shard-00001.tar",
    ]


def test_latents_of_an_older_schema_are_refused_by_name(encoded: Path) -> None:
    """Their background was that of the image that is the foreground now."""
    file = encoded / INFO.folder / "latents.json"
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "schema": 2}))
    with pytest.raises(OldSchema) as refused:
        ClipStream(encoded, latents=True)
    assert str(refused.value) == (
        f"{file}: has schema 2, this version reads 3: delete the folder and run "
        "`idol-prep encode` again"
    )
    with pytest.raises(OldSchema, match=r"latents\.json: has schema 2"):
        open_for_encoding(Store.at(encoded), INFO)
