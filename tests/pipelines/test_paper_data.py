"""The paper's data from TikTok's layout: pixel for pixel what the steps done by hand give."""

import hashlib
import json

import cv2
import numpy as np
import pytest
import torch

from pipelines.build import build, plan_build
from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from preprocess.annotators.hdnet import HourglassNetwork, weights_file
from preprocess.annotators.hdnet.spec import WEIGHTS
from shards.reader import open_dataset, read_sample
from shards.sample.colormap import depth_to_hot

FRAMES, WIDTH, HEIGHT = 4, 60, 108  # a tenth of TikTok's
NAME = WEIGHTS.name


@pytest.fixture
def tiktok(tmp_path):
    """Two folders of the layout, soft masks and DensePose included."""
    rng = np.random.default_rng(5)
    for folder in ("00001", "00335"):
        for i in range(1, FRAMES + 1):
            image = cv2.resize(rng.integers(0, 256, (9, 5, 3), np.uint8), (WIDTH, HEIGHT))
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.ellipse(mask, (30, 50 + i), (14, 30), 0, 0, 360, 255, -1)
            mask = cv2.GaussianBlur(mask, (5, 5), 0)
            iuv = rng.integers(0, 25, (HEIGHT, WIDTH, 3), np.uint8)
            for name, content in (
                ("images", image[..., ::-1]),
                ("masks", np.dstack([mask] * 3)),
                ("densepose", iuv[..., ::-1]),
            ):
                path = tmp_path / "TikTok_dataset" / folder / name / f"{i:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), content)
    return tmp_path / "TikTok_dataset"


@pytest.fixture
def write_weights(tmp_path):
    """Random networks in the converter's file format, at the registry's place."""

    def write(network_of):
        torch.manual_seed(2)
        networks = {
            kind: network_of(described.in_channels, described.out_channels)
            for kind, described in weights_file.NETWORKS.items()
        }
        path = tmp_path / "weights" / NAME
        weights_file.save_networks({k: n.state_dict() for k, n in networks.items()}, path)
        return networks

    return write


def shallow(monkeypatch):
    """One convolution in place of each hourglass: loading and everything around it is real."""

    def convolution(inputs, outputs):
        return torch.nn.Conv2d(inputs, outputs, 3, padding=1)

    def empty(self):
        with torch.device("meta"):
            return convolution(self.in_channels, self.out_channels)

    monkeypatch.setattr(weights_file._Network, "build", empty)
    return convolution


def make(source, tmp_path, size, **more):
    recipe = Recipe(
        "tiktok",
        **{
            "clip_length": 2,
            "size": size,
            "crop": "center",
            "mask": "source",
            "pose": "none",
            "depth": ("hdnet",),
            **more,
        },
    )
    out = tmp_path / "out"
    summary = build(
        plan_build(recipe, source),
        str(out),
        Reporter(),
        compute=Compute("cpu", workers=0, clip_timeout=0),  # networks of this process
        weights=tmp_path / "weights",
    )
    return summary, {clip.key: clip for clip in open_dataset(out).clips()}


def by_hand(source, video, networks):
    """Raw depth of each frame, NaN off the person, and its mask, at 256 x 256."""
    top = (HEIGHT - WIDTH) // 2

    def cut(name, i, how):
        image = cv2.imread(str(source / video / name / f"{i:04d}.png"))[..., ::-1]
        return cv2.resize(image[top : top + WIDTH], (256, 256), interpolation=how)

    def run(kind, image):
        tensor = torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)
        with torch.inference_mode():
            return networks[kind](tensor[None])[0].permute(1, 2, 0).numpy()

    for i in range(1, FRAMES + 1):
        mask = cut("masks", i, cv2.INTER_CUBIC)[..., 0]
        inside = (mask > 100)[..., None]
        rgb = np.where(inside, cut("images", i, cv2.INTER_CUBIC), 255)
        normal = run("normal", rgb)
        normal = np.where(inside, normal / np.linalg.norm(normal, axis=2, keepdims=True), 0)
        iuv = cut("densepose", i, cv2.INTER_NEAREST_EXACT)
        depth = run("depth", np.concatenate([rgb, normal, iuv], 2))
        yield np.where(inside, depth, np.nan)[..., 0], mask


def check(source, clips, networks, read, rounded=0.0):
    for video in ("00001", "00335"):
        frames = list(by_hand(source, video, networks))
        raw = np.stack([depth for depth, _ in frames])
        near, far = map(float, np.percentile(raw[np.isfinite(raw)], [0.5, 99.5]))
        near, far = near - 0.15 * (far - near), far + 0.15 * (far - near)
        scaled = np.clip((np.clip(raw, near, far) - near) / (far - near), 0, 1)
        expected = np.where(np.isfinite(raw), 0.75 * scaled, 1.0)
        for first in (0, 2):
            clip = clips[f"tiktok-{video}-{first}"]
            for t in (0, 1):
                assert np.array_equal(clip.mask[t], frames[first + t][1])
                stored = read(clip.key, t)
                levels = np.abs(stored.astype(int) - depth_to_hot(expected[first + t]))
                assert levels.max() <= 1
                assert (levels > 0).mean() <= rounded
            assert clip.info["depth"]["depth_person"]["densepose"] is True


@pytest.fixture
def read_hot(tmp_path):
    """The stored image of one frame's depth, as any reader of PNGs sees it."""

    def read(key, t):
        members = dict(read_sample(open_dataset(tmp_path / "out").find(key)))
        buffer = np.frombuffer(members[f"{key}.depth_person.{t:03d}.png"], np.uint8)
        return cv2.imdecode(buffer, cv2.IMREAD_COLOR)[..., ::-1]

    return read


def test_tiktoks_own_masks_and_densepose_give_the_published_depth(
    tiktok, tmp_path, write_weights, monkeypatch, read_hot
):
    networks = write_weights(shallow(monkeypatch))
    summary, clips = make(tiktok, tmp_path, 256)
    assert len(clips) == 4
    check(tiktok, clips, networks, read_hot)
    assert summary.info.extras["notices"] == []
    (checksum,) = {w["sha256"] for w in summary.info.weights.values()}
    assert checksum == hashlib.sha256((tmp_path / "weights" / NAME).read_bytes()).hexdigest()
    assert summary.info.software["torch"] == torch.__version__.split("+")[0]
    assert summary.info.recipe["annotators"]["depth_person"]["name"] == "hdnet"
    assert "depth_frame" not in summary.info.recipe["annotators"]


@pytest.mark.slow
def test_the_real_networks_give_it_too(tiktok, tmp_path, write_weights, read_hot):
    networks = write_weights(HourglassNetwork)
    _, clips = make(tiktok, tmp_path, 256)
    # Several frames at once are summed in another order than one: 1e-6, which rounds elsewhere.
    check(tiktok, clips, networks, read_hot, rounded=1e-4)


def test_without_densepose_it_is_said_once_and_recorded(
    tiktok, tmp_path, write_weights, monkeypatch
):
    write_weights(shallow(monkeypatch))
    for path in (tiktok / "00335" / "densepose").iterdir():
        path.unlink()
    (tiktok / "00335" / "densepose").rmdir()
    summary, clips = make(tiktok, tmp_path, 64)
    (notice,) = summary.info.extras["notices"]
    assert notice.startswith("1 of 2 videos (first: 00335) are without DensePose: HDNet gets zeros")
    used = {k: clip.info["depth"]["depth_person"]["densepose"] for k, clip in clips.items()}
    assert used == {k: "00001" in k for k in clips}


def test_a_changed_mask_or_densepose_is_another_source(
    tiktok, tmp_path, write_weights, monkeypatch
):
    write_weights(shallow(monkeypatch))
    recipe = Recipe("tiktok", mask="source", pose="none", depth=("hdnet",), clip_length=2)
    seen = {json.dumps(plan_build(recipe, tiktok).source_summary())}
    for name in ("masks", "densepose"):
        (tiktok / "00001" / name / "0002.png").write_bytes(b"other")
        seen.add(json.dumps(plan_build(recipe, tiktok).source_summary()))
    assert len(seen) == 3
    lite = Recipe("tiktok", clip_length=2)
    before = plan_build(lite, tiktok).source_summary()
    (tiktok / "00001" / "masks" / "0001.png").write_bytes(b"never looked at")
    assert plan_build(lite, tiktok).source_summary() == before
