"""`idol-prep encode`: what is stored is what the VAE says of the images that training shows it,
and a killed encoding goes on to the same bytes."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from idol.config.encode import EncodeConfig
from idol.data.latents import EncodeError, encode_dataset
from pipelines.cli import main
from shards.dataset import open_for_build
from shards.errors import ShardsError
from shards.files.storage import Store
from shards.inspect.verify import verify
from shards.manifest import parse_manifest
from shards.reader import Dataset, open_dataset, read_sample
from shards.sample.codec import encode_clip
from shards.writer import commit_shard
from tests.pipelines.conftest import tree
from tests.shards.stream.conftest import full_clip

SIZE, FRAMES = 32, 5

torch.set_num_threads(1)


def small_vae(seed: int = 0) -> AutoencoderKL:
    """Random, of factor 4, with two channels."""
    torch.manual_seed(seed)
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=2,
        norm_num_groups=4,
        sample_size=SIZE,
    ).eval()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    small_vae().save_pretrained(folder / "vae")
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two clips and one clip in two shards of train, one in val; 48 pixels, all modalities."""
    root = tmp_path / "data"
    opened = open_for_build(root, {"of": "tests"})
    clips = [full_clip(f"videos-walk-{i}", FRAMES, 48, seed=i) for i in range(4)]
    encoded = [(clip.key, encode_clip(clip)) for clip in clips]
    for split, index, samples in (
        ("train", 0, encoded[:2]),
        ("train", 1, encoded[2:3]),
        ("val", 0, encoded[3:]),
    ):
        commit_shard(root, split, index, samples, fingerprint=opened.info.fingerprint)
    opened.finish({"train": 2, "val": 1})
    return root


def encode(dataset: Path, base: Path, **options: Any) -> Path:
    values = {"size": SIZE, "device": "cpu", **options}
    return Path(encode_dataset(EncodeConfig(dataset=str(dataset), base=base, **values)).url)


def stored(dataset: Path, latents: Path, key: str) -> dict[str, np.ndarray]:
    found = Dataset("", None, open_dataset(latents).shards)
    members = read_sample(found.find(key))
    return {
        name.removeprefix(f"{key}.").removesuffix(".npy"): np.load(io.BytesIO(data))
        for name, data in members
        if name.endswith(".npy")
    }


def killed_after(clips: int) -> Callable[[], None]:
    """Ends the process, as the system would, when so many clips are encoded."""
    left = iter(range(clips)[::-1])

    def encoded() -> None:
        if not next(left):
            os.kill(os.getpid(), signal.SIGKILL)

    return encoded


def test_moments_are_those_of_the_vae(dataset: Path, base: Path) -> None:
    latents = encode(dataset, base)
    clip = open_dataset(dataset).read("videos-walk-1")
    moments = stored(dataset, latents, "videos-walk-1")
    vae = small_vae()

    def expected(images: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        scaled = torch.nn.functional.interpolate(pixels, (SIZE, SIZE), mode="area")
        with torch.no_grad():
            return vae.encode(scaled).latent_dist.parameters.numpy()

    assert set(moments) == {
        *(
            "rgb_latents",
            "pose_latents",
            "depth_person_latents",
            "depth_frame_latents",
            "background_latents",
        )
    }
    for name in ("rgb", "pose"):
        found = moments[f"{name}_latents"]
        assert (found.dtype, found.shape) == (np.float16, (FRAMES, 4, 8, 8))
        np.testing.assert_allclose(found, expected(getattr(clip, name)), rtol=1e-3, atol=1e-3)
    # The mask is black or white, so the hole is grey or nothing.
    assert clip.background is not None
    assert clip.background_mask is not None
    place = np.where(clip.background_mask[..., None] == 255, 128, clip.background).astype(np.uint8)
    found = moments["background_latents"]
    assert found.shape == (4, 8, 8)
    np.testing.assert_allclose(found, expected(place[None])[0], rtol=1e-3, atol=1e-3)


def test_the_dataset_is_left_as_it_was_and_verifies(dataset: Path, base: Path) -> None:
    before = tree(dataset)
    latents = encode(dataset, base)
    assert {name: digest for name, digest in tree(dataset).items() if name in before} == before
    assert list(verify(str(dataset))) == []
    assert open_dataset(dataset).splits == ("train", "val")

    tar = latents / "train" / "shard-00000.tar"
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(data)
    [fault] = verify(str(dataset))
    assert fault.file == f"{latents.name}/train/shard-00000.tar"
    assert "checksum" in fault.what


def test_what_is_there_is_kept(dataset: Path, base: Path, monkeypatch: Any) -> None:
    latents = encode(dataset, base)
    whole = tree(latents)
    (latents / "train" / "shard-00001.json").unlink()
    (latents / "val" / ".shard-00000.tar.tmp-0123abcd").write_bytes(b"left by a kill")
    done = encode_dataset(EncodeConfig(dataset=str(dataset), base=base, size=SIZE, device="cpu"))
    assert (done.shards_made, done.shards_kept, done.clips) == (1, 2, 4)
    assert done.bytes == sum(path.stat().st_size for path in latents.rglob("*.tar"))
    assert {n: d for n, d in tree(latents).items() if "tmp" not in n} == whole

    # Nothing to do: then no network is loaded.
    monkeypatch.setattr(AutoencoderKL, "from_pretrained", None)
    assert encode_dataset(EncodeConfig(dataset=str(dataset), base=base, size=SIZE)).shards_made == 0


def test_shares_make_the_whole(dataset: Path, base: Path) -> None:
    whole = tree(encode(dataset, base))
    latents = encode(dataset, base)
    shutil.rmtree(latents)
    for index in (1, 0):
        encode(dataset, base, share=f"{index}/2")
    assert tree(latents) == whole


def test_killed_anywhere_it_goes_on_to_the_same_bytes(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    whole = tree(encode(copy, base))
    for clips in (1, 3):  # within the first shard, within the last
        # Forked: a fresh process would take seconds to import torch and diffusers.
        child = os.fork()
        if not child:
            try:
                encoding = EncodeConfig(dataset=str(dataset), base=base, size=SIZE, device="cpu")
                encode_dataset(encoding, encoded=killed_after(clips))
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        [latents] = dataset.glob("latents-*")
        assert len(list(latents.rglob("shard-*.json"))) < 3
    latents = encode(dataset, base)
    assert tree(latents) == whole


def test_a_changed_shard_is_encoded_again(dataset: Path, base: Path, tmp_path: Path) -> None:
    latents = encode(dataset, base)
    clip = full_clip("videos-walk-2", FRAMES, 48, seed=9)
    commit_shard(
        *(dataset, "train", 1, [(clip.key, encode_clip(clip))]),
        fingerprint=parse_manifest((dataset / "train/shard-00001.json").read_bytes()).fingerprint,
    )
    faults = [fault for fault in verify(str(dataset)) if fault.file.startswith("latents-")]
    assert [fault.file for fault in faults] == [f"{latents.name}/train/shard-00001.tar"]
    assert "another version" in faults[0].what
    done = encode_dataset(EncodeConfig(dataset=str(dataset), base=base, size=SIZE, device="cpu"))
    assert (done.shards_made, done.shards_kept) == (1, 2)
    rgb = stored(dataset, latents, clip.key)["rgb_latents"]
    fresh = tmp_path / "fresh"
    shutil.copytree(dataset, fresh, ignore=lambda *_: [latents.name])
    np.testing.assert_array_equal(rgb, stored(fresh, encode(fresh, base), clip.key)["rgb_latents"])
    assert not [fault for fault in verify(str(dataset)) if fault.file.startswith("latents-")]


def test_the_vae_is_known_by_its_weights(dataset: Path, base: Path, tmp_path: Path) -> None:
    encode(dataset, base)
    small_vae().save_pretrained(tmp_path / "same", max_shard_size="1GB")
    assert encode(dataset, tmp_path / "same").name == encode(dataset, base).name
    small_vae(seed=1).save_pretrained(tmp_path / "other")
    assert encode(dataset, tmp_path / "other").name != encode(dataset, base).name
    assert len(list(dataset.glob("latents-*"))) == 2


def test_another_precision_is_refused(dataset: Path, base: Path) -> None:
    encode(dataset, base)
    with pytest.raises(ShardsError, match="precision: float32 there, bfloat16 here"):
        encode(dataset, base, precision="bfloat16")


def test_latents_in_an_object_store(base: Path, dataset: Path) -> None:
    url = "memory://encoded/data"
    for path in dataset.rglob("*.*"):
        Store.at(url).write_bytes(str(path.relative_to(dataset)), path.read_bytes())
    done = encode_dataset(EncodeConfig(dataset=url, base=base, size=SIZE, device="cpu"))
    assert done.shards_made == 3
    assert list(verify(url)) == []
    latents = encode(dataset, base)
    there = Store.at(url).read(f"{latents.name}/val/shard-00000.tar")
    assert there == (latents / "val" / "shard-00000.tar").read_bytes()


def test_mistakes_get_one_line(
    dataset: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        ((tmp_path, "--base", base), "holds no dataset.json"),
        ((dataset / "train", "--base", base), "folder of the whole dataset"),
        ((dataset, "--base", tmp_path), "holds no AutoencoderKL"),
        ((dataset, "--base", base, "--size", "30"), "--size must be a multiple of 4"),
        ((dataset, "--base", base, "--share", "2/2"), "I from 0 to N - 1"),
        ((dataset, "--base", base, "--share", "all"), "--share must be I/N"),
        ((dataset, "--base", base, "--size", "32", "--device", "warp"), "--device warp"),
    ):
        assert main(["encode", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err
    assert main(["encode", str(dataset), "--base", str(base), "--size", "32"]) == 0
    assert "latents of 4 clips" in capsys.readouterr().out


def test_damaged_weights_are_told(dataset: Path, base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(base / "vae", folder)
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ShardsError, match="no whole safetensors file"):
        encode(dataset, folder)
    weights.unlink()
    with pytest.raises(ShardsError, match="has no diffusion_pytorch_model"):
        encode(dataset, folder)


def test_nothing_infinite_is_stored(dataset: Path, tmp_path: Path) -> None:
    vae = small_vae()
    with torch.no_grad():
        vae.quant_conv.bias.fill_(1e6)  # beyond float16
    vae.save_pretrained(tmp_path / "vae")
    with pytest.raises(EncodeError, match="not finite"):
        encode(dataset, tmp_path / "vae")
    assert list(dataset.glob("latents-*/*/*.json")) == []


def test_a_mixture_is_encoded_part_by_part(dataset: Path, base: Path) -> None:
    home = dataset.parent
    mix = {"schema": 1, "paths": [{"path": dataset.name, "weight": 1}]}
    (home / "mix.json").write_text(json.dumps(mix))
    with pytest.raises(EncodeError, match=rf"{home} is a mixture: encode each .* {dataset}$"):
        encode(home, base)
