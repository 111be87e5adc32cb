"""Masks of boxes: Segment Anything, many frames and boxes at once.

Shapes are suffixes of names: N frames, B boxes of a frame, C channels, H rows, W columns.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.device import half_precision
from preprocess.annotators.torch.loading import load_state, needed_packages
from preprocess.errors import InputError

__all__ = ["Segmenter", "load_network"]

_BOXES = 16  # decoded at once: each takes the memory of a few full-size masks


def load_network(checkpoint: Path, size: str) -> nn.Module:
    """SAM on the CPU, for inference, from a published file.

    `size`: vit_h, vit_l or vit_b.
    Raises InputError when the package is missing or the file is not of this size.
    """
    with needed_packages("Grounded-SAM"):
        from segment_anything import sam_model_registry
    network = sam_model_registry[size]()
    try:
        network.load_state_dict(load_state(checkpoint))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise InputError(
            f"{checkpoint} does not hold SAM's {size} model: {first} Choose the size that the "
            f"file has, or fetch it again: `idol-prep weights fetch sam`"
        ) from error
    return network.requires_grad_(False).eval()


class Segmenter:
    """One mask a frame, of all its boxes. A frame's result does not depend on the others."""

    def __init__(
        self,
        network: Any,
        hardware: Hardware,
    ) -> None:
        """Half precision is for the image encoder, where nearly all the work is, on a GPU."""
        from segment_anything.utils.transforms import ResizeLongestSide

        self._sam = network.to(hardware.device)
        self._hardware = hardware
        self._device = hardware.device
        self._transform = ResizeLongestSide(self._sam.image_encoder.img_size)
        self._batches = Batches(hardware, _bytes_per_frame(self._sam.image_encoder))

    def __call__(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> np.ndarray:
        """`frames`, (H, W, 3) uint8 RGB of one size, and the boxes of each, (B, 4) float32 pixels
        -> (N, H, W) bool: the union of the boxes' masks, empty where there is no box."""
        masks = np.zeros((len(frames), *frames[0].shape[:2]), bool)
        wanted = [i for i, found in enumerate(boxes) if len(found)]
        found = self._batches.map(self._segment, [(frames[i], boxes[i]) for i in wanted])
        for i, mask in zip(wanted, found, strict=True):
            masks[i] = mask
        return masks

    @torch.inference_mode()
    def _segment(self, items: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        resized = np.stack([self._transform.apply_image(frame) for frame, _ in items])
        size = resized.shape[1:3]
        images_NCHW = torch.from_numpy(resized).to(self._device).permute(0, 3, 1, 2).contiguous()
        with half_precision(self._hardware):
            features_NCHW = self._sam.image_encoder(self._sam.preprocess(images_NCHW)).float()
        return [
            self._union(features, boxes, size, frame.shape[:2])
            for features, (frame, boxes) in zip(features_NCHW, items, strict=True)
        ]

    def _union(
        self,
        features_CHW: Tensor,
        boxes: np.ndarray,
        input_size: tuple[int, int],
        frame_size: tuple[int, int],
    ) -> np.ndarray:
        prompts_B4 = torch.from_numpy(boxes).to(self._device)
        prompts_B4 = self._transform.apply_boxes_torch(prompts_B4, frame_size)
        union_HW = torch.zeros(frame_size, dtype=torch.bool, device=self._device)
        for some in prompts_B4.split(_BOXES):
            sparse, dense = self._sam.prompt_encoder(points=None, boxes=some, masks=None)
            logits_B1HW, _ = self._sam.mask_decoder(
                image_embeddings=features_CHW[None],
                image_pe=self._sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            logits_B1HW = self._sam.postprocess_masks(logits_B1HW, input_size, frame_size)
            union_HW |= (logits_B1HW > self._sam.mask_threshold).any(0)[0]
        return union_HW.cpu().numpy()


def _bytes_per_frame(encoder: Any) -> int:
    """Three float32 copies of the scores of global attention, in which each of the (image side /
    patch side)^2 tokens looks at all others."""
    attention = encoder.blocks[0].attn
    tokens = encoder.pos_embed.shape[1] * encoder.pos_embed.shape[2]
    return 3 * 4 * attention.num_heads * tokens**2
