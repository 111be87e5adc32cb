"""OpenPose's three networks (controlnet_aux's modules) with weights from their published files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.device import half_precision
from preprocess.annotators.torch.loading import import_controlnet_aux, load_state, needed_packages
from preprocess.errors import InputError

__all__ = ["Network", "load_body", "load_face", "load_hand"]

# Roughly, for an image in float32: a body at 184 x 328, a hand at 736 x 736, a face at 384 x 384.
# Two maps of 64 channels at full size stand at the peak, and the convolution's workspace.
BODY_BYTES = 80 << 20
HAND_BYTES = 700 << 20
FACE_BYTES = 200 << 20


class Network:
    """One network on its device: images in batches in, the last stage's maps out."""

    def __init__(self, module: nn.Module, hardware: Hardware, bytes_per_item: int) -> None:
        self._module = module.to(hardware.device).eval()
        self._hardware = hardware
        self._batches = Batches(hardware, bytes_per_item)

    def maps(self, images: Sequence[np.ndarray]) -> list[tuple[torch.Tensor, ...]]:
        """For each image, (H, W, 3) uint8 BGR, all of one size with sides that 8 divides: the
        maps (C, H / 8, W / 8) float32 of each of the network's outputs, on its device."""
        return self._batches.map(self._forward, images)

    @torch.inference_mode()
    def _forward(self, images: Sequence[np.ndarray]) -> list[tuple[torch.Tensor, ...]]:
        batch = torch.from_numpy(np.stack(images)).to(self._hardware.device)
        scaled = batch.permute(0, 3, 1, 2).contiguous() / 256 - 0.5
        with half_precision(self._hardware):
            outputs = self._module(scaled)
        if isinstance(outputs, list):  # the face network gives all its stages
            outputs = outputs[-1]
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        return list(zip(*(output.float() for output in outputs), strict=True))


def load_body(path: Path, hardware: Hardware) -> Network:
    """The body network: affinity fields (38, h, w) and joint maps (19, h, w).

    Raises InputError when controlnet_aux is not installed or the file holds something else.
    """
    with needed_packages("OpenPose"):
        # `util` first: it and `body` import each other, and only this order works.
        _, body = import_controlnet_aux("open_pose.util", "open_pose.body")
    with torch.device("meta"):
        module = body.bodypose_model()
    return Network(_filled(module, path, "body"), hardware, BODY_BYTES)


def load_hand(path: Path, hardware: Hardware) -> Network:
    """The hand network: joint maps (22, h, w), the last one background. Raises as `load_body`."""
    with needed_packages("OpenPose"):
        (model,) = import_controlnet_aux("open_pose.model")
    with torch.device("meta"):
        module = model.handpose_model()
    return Network(_filled(module, path, "hand"), hardware, HAND_BYTES)


def load_face(path: Path, hardware: Hardware) -> Network:
    """The face network: maps (71, h, w), 68 marks, pupils, background. Raises as `load_body`."""
    with needed_packages("OpenPose"):
        _, face = import_controlnet_aux("open_pose.util", "open_pose.face")
    with torch.device("meta"):
        module = face.FaceNet()
    return Network(_filled(module, path, "face"), hardware, FACE_BYTES)


def _filled(module: nn.Module, path: Path, which: str) -> nn.Module:
    """The module with the file's tensors, which are named after the layers alone."""
    state = load_state(path)
    wanted = {
        name: name if name in state else name.partition(".")[2] for name in module.state_dict()
    }
    wrong = [
        name
        for name, tensor in module.state_dict().items()
        if wanted[name] not in state or state[wanted[name]].shape != tensor.shape
    ]
    if wrong:
        raise InputError(
            f"{path} is not OpenPose's {which} network: {len(wrong)} of its {len(wanted)} tensors "
            f"are absent or of another size, {wrong[0]} first. Fetch it again: "
            "`idol-prep weights fetch openpose`"
        )
    module.load_state_dict({name: state[held] for name, held in wanted.items()}, assign=True)
    return module
