"""How clips lie in a batch: the legend of all shapes in this package.

Shape suffixes of names, used throughout `idol.model` and `idol.losses`:

    B  clips in the batch             C  channels
    M  modalities, video then depth   H  W  height and width of a feature map
    F  frames                         L  positions of a feature map, H * W, row by row
    N  images, B * M * F              h  heads of an attention
                                      T  foreground tokens (257 for CLIP ViT-L/14)
    E  channels of the time embedding D  channels of a foreground token or of one head
"""

from typing import NamedTuple

from torch import Tensor

__all__ = ["ClipLayout", "of_frames"]


class ClipLayout(NamedTuple):
    """Says which of the N images of a feature map belong together.

    The 2D parts of the network see N = B * M * F independent images; only temporal layers,
    cross-modal attention and the consistency losses look at how these images relate.
    """

    clips: int
    modalities: int
    frames: int

    @property
    def images(self) -> int:
        """N, the number of images in the batched pass."""
        return self.clips * self.modalities * self.frames

    def split(self, x_N: Tensor) -> Tensor:
        """(N, ...) to (B, M, F, ...), a view."""
        return x_N.unflatten(0, (self.clips, self.modalities, self.frames))

    def per_clip(self, x_B: Tensor) -> Tensor:
        """Repeat what a clip has once, (B, ...), for each of its images: (N, ...)."""
        return x_B.repeat_interleave(self.modalities * self.frames, dim=0)

    def per_frame(self, x_BF: Tensor) -> Tensor:
        """Repeat what a frame has once, (B, F, ...), for both modalities: (N, ...)."""
        x_BMF = x_BF.unsqueeze(1).expand(-1, self.modalities, *(-1,) * (x_BF.ndim - 1))
        return x_BMF.flatten(0, 2)

    def per_modality(self, x_M: Tensor) -> Tensor:
        """Repeat what a modality has once, (M, ...), for each of its images: (N, ...)."""
        x_BM = x_M.unsqueeze(0).expand(self.clips, *x_M.shape).flatten(0, 1)
        return x_BM.repeat_interleave(self.frames, dim=0)


def of_frames(background_BCHW: Tensor) -> Tensor:
    """A background of each clip, (B, C, H, W), or of each frame, (B, F, C, H, W), as the latter;
    F is 1 for the former.

    Of each stream and frame, (B, M, F, C, H, W), it is that of the first stream, the video's.
    """
    if background_BCHW.ndim == 6:
        return background_BCHW[:, 0]
    return background_BCHW if background_BCHW.ndim == 5 else background_BCHW[:, None]
