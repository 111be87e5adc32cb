"""DensePose as an annotator: what HDNet reads where a source brings none."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from preprocess.annotators.torch.loading import needed_packages
from preprocess.errors import ClipError, InputError

__all__ = ["DensePose", "DensePoseProgram", "image_of"]


class DensePose:
    """V, U and body part of everybody in each frame."""

    def __init__(self, program: Callable[[np.ndarray], np.ndarray]) -> None:
        """`program` is a `DensePoseProgram`."""
        self._program = program

    def iuv(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB frames -> (H, W, 3) uint8 each: V, U, part."""
        return [self._program(frame) for frame in frames]


BOXES = "pred_boxes"
SCORES = "scores"
MAPS = tuple(f"pred_densepose_{name}" for name in ("coarse_segm", "fine_segm", "u", "v"))
MIN_SCORE = 0.8  # of a person, as in detectron2's own command
_COARSE = MAPS[0]
_PARTS = 25  # with the background, which is the first


class DensePoseProgram:
    """A frame's result does not depend on the others."""

    def __init__(self, path: Path, device: str) -> None:
        """Load the program. Like every TorchScript file it holds code: give one that you trust.

        Raises InputError when the file is absent or no TorchScript.
        """
        with needed_packages("DensePose"):
            import torchvision  # noqa: F401  (the operators of its detector)
        if not path.is_file():
            raise InputError(f"there is no DensePose program at {path}")
        try:
            with warnings.catch_warnings():
                # Torch would rather have torch.export, in which nobody serves DensePose.
                warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)
                program = torch.jit.load(path, map_location=device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise InputError(
                f"{path} is no TorchScript program of DensePose ({reason}): docs/recipes.md says "
                "what it has to be"
            ) from error
        # Those exported in float16 run on GPUs alone.
        self._program = program.float() if device == "cpu" else program
        self._path = path
        self._device = device
        self._works = False  # has it made anything of an image?

    @torch.inference_mode()
    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (H, W, 3) uint8: V, U and the part's number, 0 off the body.

        Raises InputError when the program fails before it has made anything of an image, or gives
        something else than DensePose, and ClipError when it fails later: by the image, then.
        """
        bgr_CHW = torch.from_numpy(np.ascontiguousarray(frame[..., ::-1].transpose(2, 0, 1)))
        try:
            found = self._named(self._program(bgr_CHW.to(self._device)))
        except (RuntimeError, torch.jit.Error) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            if self._works:
                raise ClipError(f"DensePose fails on a frame: {reason}") from error
            raise InputError(f"{self._path} fails on an image: {reason}") from error
        self._works = True
        return image_of(found, frame.shape[:2])

    def _named(self, found: Any) -> dict[str, Tensor]:
        names = (BOXES, *MAPS)
        if isinstance(found, tuple) and len(found) == len(names):
            found = dict(zip(names, found, strict=True))
        if not isinstance(found, Mapping) or not all(name in found for name in names):
            got = sorted(found) if isinstance(found, Mapping) else type(found).__name__
            raise InputError(
                f"{self._path} gives {got}, not DensePose's {', '.join(names)}: docs/recipes.md "
                "says what it has to be"
            )
        people = len(found[BOXES])
        scores = found.get(SCORES, torch.ones(people))
        named = {SCORES: scores} | {name: found[name] for name in names}
        named = {name: tensor.detach().float().cpu() for name, tensor in named.items()}
        for name in MAPS:
            shape = tuple(named[name].shape)
            parts = shape[1] if name == _COARSE and len(shape) > 1 else _PARTS
            if shape[:2] != (people, parts) or len(shape) != 4:
                raise InputError(
                    f"{self._path} gives {name} of shape {shape} for {people} people, not "
                    f"({people}, {_PARTS}, h, w)"
                )
        return named


def image_of(found: Mapping[str, Tensor], size: tuple[int, int]) -> np.ndarray:
    """Everybody who is found, the surest on top, in one image of `size`, (H, W).

    As detectron2 does it: a box is cut to whole pixels, the grids are stretched over it linearly,
    the part is the likeliest one where the coarse map says body, U and V are of that part's map.
    """
    iuv = np.zeros((*size, 3), np.uint8)
    for person in found[SCORES].argsort():
        if found[SCORES][person] < MIN_SCORE:
            continue
        x0, y0, x1, y1 = found[BOXES][person].tolist()
        x, y, width, height = int(x0), int(y0), max(int(x1 - x0), 1), max(int(y1 - y0), 1)
        coarse, fine, u, v = (
            interpolate(found[name][person][None], (height, width), mode="bilinear")[0]
            for name in MAPS
        )
        part = fine.argmax(0) * (coarse.argmax(0) > 0)
        uv = torch.stack([v, u]).gather(1, part.expand(2, 1, -1, -1))[:, 0]
        channels = torch.cat([(uv * 255).clamp(0, 255), part[None]]).to(torch.uint8)
        ours = channels.permute(1, 2, 0).numpy()
        left, top = max(-x, 0), max(-y, 0)
        into = iuv[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        ours = ours[top : top + into.shape[0], left : left + into.shape[1]]
        body = ours[..., 2] > 0
        into[body] = ours[body]
    return iuv
