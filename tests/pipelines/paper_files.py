"""What the paper's recipe wants to find on a disk: TikTok's layout, and files of all its networks.

The images are real ones made small, the weights random: small networks in the files' places, or
those of the published sizes, in the formats in which they are published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from preprocess.annotators.grounded_sam import detector
from preprocess.annotators.grounded_sam.spec import DETECTOR, SAM
from preprocess.annotators.hdnet import HourglassNetwork, weights_file
from preprocess.annotators.hdnet.spec import WEIGHTS as HDNET
from preprocess.annotators.midas import network as midas
from preprocess.annotators.midas.spec import WEIGHTS as MIDAS
from preprocess.annotators.openpose import body
from preprocess.annotators.openpose.spec import BODY
from preprocess.annotators.torch.loading import import_controlnet_aux
from preprocess.weights import registry
from tests.preprocess.annotators.dwpose import onnx_files
from tests.preprocess.annotators.grounded_sam import small
from tests.preprocess.annotators.huggingface.test_network import depth_anything
from tests.preprocess.small_files import random_state, write

WIDTH, HEIGHT = 68, 120
FRAMES = {"00001": 4, "00335": 2}  # one video of each side of the published split


def tiktok(root: Path, footage: Path, videos: Mapping[str, int] = FRAMES) -> Path:
    """Frames of a real video cut upright, each with a mask and DensePose of where somebody is."""
    with av.open(str(footage)) as container:
        decoded = islice(container.decode(video=0), sum(videos.values()))
        images = [frame.to_ndarray(format="rgb24") for frame in decoded]
    for folder, count in videos.items():
        for number in range(1, count + 1):
            image = images.pop()
            height, width = image.shape[:2]
            half = height * WIDTH // HEIGHT // 2
            upright = image[:, width // 2 - half : width // 2 + half]
            inside = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.ellipse(inside, (34, 58 + number), (18, 34), 0, 0, 360, 255, -1)
            iuv = np.where(inside[..., None] > 0, np.uint8((90, 160, 2)), np.uint8(0))
            small_one = cv2.resize(upright, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            for name, content in (
                ("images", small_one[..., ::-1]),
                ("masks", np.dstack([inside] * 3)),
                ("densepose", iuv[..., ::-1]),
            ):
                path = root / "TikTok_dataset" / folder / name / f"{number:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), content)
    return root / "TikTok_dataset"


def for_random_weights() -> Iterator[tuple[Any, str, Any]]:
    """(object, name, value): what makes a process take the published sizes with random weights.

    No size and no checksum is published of these files; the detector looks at smaller images.
    """
    entries = tuple(replace(e, bytes=None, stated=()) for e in registry.REGISTRY)
    yield registry, "REGISTRY", entries
    yield detector, "SHORT_SIDE", 200
    yield detector, "LONG_SIDE", 400


def for_small_networks(root: Path) -> Iterator[tuple[Any, str, Any]]:
    """The same for `write_small`: the files' networks in the place of the published ones."""
    import segment_anything

    yield from for_random_weights()
    yield detector, "SHORT_SIDE", 64
    yield detector, "published_config", lambda: root / "config.py"
    yield segment_anything, "sam_model_registry", {"vit_b": small.build_sam}
    yield midas, "build_dpt_hybrid", Brightness
    yield body, "HEIGHT", 64  # of images: the network itself is OpenPose's
    yield weights_file._Network, "build", _convolution_of


def write_published_sizes(root: Path) -> None:
    """Random networks of the published sizes, with SAM's ViT-B. DWPose's are small ones."""
    from segment_anything import sam_model_registry

    bert = _bert(root)
    found = small.build_detector(bert, detector.published_config())
    small.save_detector(found, root / DETECTOR.name)
    torch.manual_seed(0)
    small.save_sam(sam_model_registry["vit_b"](), root / SAM["vit_b"].name)
    write(root / MIDAS.name, random_state(midas.build_dpt_hybrid(), 0))
    _write_openpose(root)
    _write_hdnet(root, HourglassNetwork)


def write_small(root: Path) -> None:
    """Small random networks, and a Hugging Face depth model in `depth-model`."""
    bert = _bert(root)
    config = small.detector_config(root / "config.py")
    small.save_detector(small.build_detector(bert, config), root / DETECTOR.name)
    small.save_sam(small.build_sam(), root / SAM["vit_b"].name)
    write(root / MIDAS.name, Brightness().state_dict())
    _write_openpose(root)
    _write_hdnet(root, _convolution)
    _write_dwpose(root)
    for part in depth_anything():
        part.save_pretrained(root / "depth-model")


class Brightness(torch.nn.Module):
    """In the place of MiDaS' network: what is bright is near."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        return (images.mean(1) + 1) * self.factor


def _convolution(inputs: int, outputs: int) -> torch.nn.Module:
    """In the place of each of HDNet's hourglasses."""
    return torch.nn.Conv2d(inputs, outputs, 3, padding=1)


def _convolution_of(described) -> torch.nn.Module:
    return _convolution(described.in_channels, described.out_channels)


def _bert(root: Path) -> Path:
    """The encoder's own weights are in the detector's file."""
    return small.bert_folder(root / "bert")


def _write_openpose(root: Path) -> None:
    _, package = import_controlnet_aux("open_pose.util", "open_pose.body")
    with torch.device("meta"):
        empty = package.bodypose_model()
    state = random_state(empty, 1)
    # Louder at the end, so that there is somebody.
    louder = {k: v * 6 if "Mconv7_stage6" in k else v for k, v in state.items()}
    write(root / BODY.name, {name.split(".", 1)[1]: tensor for name, tensor in louder.items()})


def _write_dwpose(root: Path) -> None:
    """Somebody in every frame that is somewhere blue, his joints where it is most colourful."""
    box = (8, 6, 60, 114)
    onnx_files.detector(root / "dwpose/yolox_l.onnx", [(0, 0.9, box)], (HEIGHT, WIDTH))
    onnx_files.pose(root / "dwpose/dw-ll_ucoco_384.onnx", np.full(133, 0.5))


def _write_hdnet(root: Path, network_of) -> None:
    torch.manual_seed(2)
    states = {
        kind: network_of(one.in_channels, one.out_channels).state_dict()
        for kind, one in weights_file.NETWORKS.items()
    }
    weights_file.save_networks(states, root / HDNET.name)
