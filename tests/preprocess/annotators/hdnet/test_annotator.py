"""From a scene to depth: the steps done by hand, at any size of clip."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from preprocess.annotators.hdnet.annotator import HDNet, HDNetDepth
from preprocess.annotators.hdnet.weights_file import load_networks, read_checkpoints, save_networks
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware
from preprocess.crop import Crop
from preprocess.errors import ClipError
from tests.preprocess.annotators.hdnet.bundles import write_bundle
from tests.preprocess.annotators.hdnet.drawn import variables

CPU = Hardware()
FRAMES, WIDTH, HEIGHT = 3, 320, 280


@pytest.fixture
def networks():
    """One convolution each in place of the hourglasses: what happens around them is tested."""
    torch.manual_seed(7)
    return {
        "normal": torch.nn.Conv2d(3, 3, 3, padding=1),
        "depth": torch.nn.Conv2d(9, 1, 3, padding=1),
    }


def ramp(rgb, foreground, iuv):
    """Stands in for the networks: depth grows to the right."""
    return np.broadcast_to(np.arange(256, dtype=np.float32), foreground.shape).copy()


def scene(size, *, iuv=True, frames=FRAMES):
    """Noise in which a disc is the person: the scene and its masks."""
    rng = np.random.default_rng(11)
    images = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(frames)]
    dense = [np.minimum(p, (255, 255, 24)).astype(np.uint8) for p in images]
    crop = Crop("subject", 30, 12, 256, size)
    masks = np.zeros((frames, size, size), np.uint8)
    for mask in masks:
        cv2.circle(mask, (size // 2, size // 2), size // 3, 255, -1)
    made = Scene(tuple(images), (), crop, 30.0, iuv=tuple(dense) if iuv else ())
    return made, masks


def by_hand(networks, image, mask, dense):
    """One 256 x 256 frame, step by step as the method's page says."""
    inside = (mask > 100)[..., None]
    rgb = np.where(inside, image, 255).astype(np.float32)

    def run(kind, image_HWC):
        image_NCHW = torch.from_numpy(image_HWC.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            return networks[kind](image_NCHW)[0].permute(1, 2, 0).numpy()

    normal = run("normal", rgb)
    normal = np.where(inside, normal / np.linalg.norm(normal, axis=2, keepdims=True), 0)
    depth = run("depth", np.concatenate([rgb, normal, dense.astype(np.float32)], 2))
    return np.where(inside, depth, np.nan)[..., 0]


def test_a_clip_of_256_is_the_steps_done_by_hand(networks):
    made, masks = scene(256)
    depth = HDNetDepth(HDNet(networks, CPU), Hardware(batch=2)).depths(made, masks)
    assert depth.dtype == np.float32
    x0, y0, x1, y1 = made.crop.box
    for frame, (image, dense) in enumerate(zip(made.frames, made.iuv, strict=True)):
        expected = by_hand(networks, image[y0:y1, x0:x1], masks[frame], dense[y0:y1, x0:x1])
        np.testing.assert_allclose(depth[frame], expected, rtol=0, atol=3e-4)


def test_scenes_go_through_together_as_they_do_alone(networks):
    """Squares of their own, people missing in some frames, a batch across two scenes."""
    given = []
    for number, frames in enumerate((1, 3)):
        made, masks = scene(64, frames=frames)
        masks[number] = 0
        given.append((replace(made, crop=Crop("subject", 30 + 9 * number, 12, 200, 64)), masks))
    annotator = HDNetDepth(HDNet(networks, CPU), Hardware(batch=2))
    together = annotator.depths_of_each(*zip(*given, strict=True))
    assert not np.isfinite(together[0]).any()
    for depth, (made, masks) in zip(together, given, strict=True):
        np.testing.assert_allclose(depth, annotator.depths(made, masks), rtol=0, atol=3e-4)


@pytest.mark.slow
def test_published_checkpoints_give_depth(tmp_path):
    """From TensorFlow's files through the converter and the annotator, at full size."""
    rng = np.random.default_rng(3)
    drawn = variables("depth", rng) | variables("normal", rng)
    write_bundle(tmp_path / "model.ckpt", drawn)
    found = read_checkpoints(tmp_path)
    path = tmp_path / "hdnet.safetensors"
    save_networks({kind: network.state for kind, network in found.items()}, path)
    networks = load_networks(path)
    made, masks = scene(256, frames=2)
    depth = HDNetDepth(HDNet(networks, CPU), CPU).depths(made, masks)
    x0, y0, x1, y1 = made.crop.box
    for frame, (image, dense) in enumerate(zip(made.frames, made.iuv, strict=True)):
        expected = by_hand(networks, image[y0:y1, x0:x1], masks[frame], dense[y0:y1, x0:x1])
        np.testing.assert_allclose(depth[frame], expected, rtol=0, atol=3e-4)


def test_without_densepose_it_runs_on_zeros(networks):
    made, masks = scene(256, iuv=False, frames=1)
    depth = HDNetDepth(HDNet(networks, CPU), CPU).depths(made, masks)
    x0, y0, x1, y1 = made.crop.box
    expected = by_hand(
        networks, made.frames[0][y0:y1, x0:x1], masks[0], np.zeros((256, 256, 3), np.uint8)
    )
    np.testing.assert_allclose(depth[0], expected, rtol=0, atol=3e-4)


@pytest.mark.parametrize("size", [64, 200, 384, 512])
def test_any_size_of_clip_keeps_depth_to_the_silhouette(size):
    """A ramp stays the ramp, up to the edge: no background leaks into the person."""
    made, masks = scene(size)
    depth = HDNetDepth(ramp, CPU).depths(made, masks)
    assert np.array_equal(np.isfinite(depth), masks > 100)
    columns = (np.arange(size) + 0.5) * 256 / size - 0.5
    error = np.abs(depth - columns)[masks > 100]
    assert error.max() < 256 / size + 1.5
    assert np.median(error) < 0.05


def test_frames_without_a_person_cost_nothing_and_are_unknown():
    made, masks = scene(256)
    masks[1] = 90  # not above 100
    seen = []

    def count(rgb, foreground, iuv):
        seen.append(len(rgb))
        return ramp(rgb, foreground, iuv)

    depth = HDNetDepth(count, Hardware(batch=8)).depths(made, masks)
    assert seen == [2]
    assert np.isnan(depth[1]).all()
    masks[:] = 0
    assert np.isnan(HDNetDepth(count, CPU).depths(made, masks)).all()
    assert seen == [2]


def test_densepose_is_never_blended():
    """Parts 2 and 20 side by side give no part between them, at half the size."""
    made, masks = scene(256)
    for dense in made.iuv:
        dense[:] = 0
        dense[..., 2] = np.where(np.arange(WIDTH) % 3 == 0, 2, 20)
    large = Scene(made.frames, (), Crop("none", -20, -40, 360, 256), 30.0, iuv=made.iuv)
    parts = set()

    def look(rgb, foreground, iuv):
        parts.update(np.unique(iuv[..., 2]).tolist())
        return ramp(rgb, foreground, iuv)

    HDNetDepth(look, CPU).depths(large, masks)
    assert parts == {0, 2, 20}


def test_what_is_no_densepose_of_the_frames_is_refused():
    made, masks = scene(256)
    swapped = Scene(made.frames, (), made.crop, 30.0, iuv=tuple(i[..., ::-1] for i in made.iuv))
    with pytest.raises(ClipError, match="channels must be V, U, part index"):
        HDNetDepth(ramp, CPU).depths(swapped, masks)
    small = Scene(made.frames, (), made.crop, 30.0, iuv=tuple(i[:100] for i in made.iuv))
    with pytest.raises(ClipError, match="DensePose of 320x100 for a frame 320x280"):
        HDNetDepth(ramp, CPU).depths(small, masks)
