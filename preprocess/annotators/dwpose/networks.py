"""DWPose's two networks: a detector of people, and the joints of one person.

What comes before and after them is rtmlib's; the batches, and what must not happen, are ours:
rtmlib takes a path that is not there for a URL, every class of object for a person, and the whole
image for a person where it finds none.
"""

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.loading import needed_packages
from preprocess.crop import Box
from preprocess.errors import InputError

__all__ = ["PersonDetector", "PoseNetwork"]

# DWPose's own. rtmlib's 0.7 loses people in fast motion, whom the detector is less sure of; and a
# false find costs little, as one person is followed by size.
DETECTOR_SCORE = 0.3
OVERLAP = 0.45  # boxes of one class that share more are one object, as DWPose has it
PERSON = 0  # of COCO's classes
JOINTS = 133

# Roughly, in float32: an image of 640 x 640 in YOLOX-l, a crop of 288 x 384 in RTMPose-l.
DETECTOR_BYTES = 400 << 20
POSE_BYTES = 120 << 20


class PersonDetector:
    """Boxes of the people in frames, by YOLOX."""

    def __init__(self, path: Path, hardware: Hardware, *, score: float = DETECTOR_SCORE) -> None:
        """`score`: in [0, 1], how sure the detector must be.

        Raises InputError when rtmlib is not installed, or the file is absent or something else.
        """
        with needed_packages("DWPose"):
            from rtmlib import YOLOX
        self._tool = _load(YOLOX, path, hardware.device, nms_thr=OVERLAP, score_thr=score)
        self._tool.det_mode = "multiclass"
        count, height, width = _input_shape(self._tool)
        self._tool.model_input_size = (height or 640, width or 640)
        self._batches = _batches(hardware, count, DETECTOR_BYTES)

    def __call__(self, frames: Sequence[np.ndarray]) -> list[list[Box]]:
        """For each frame, (H, W, 3) uint8 RGB: x0, y0, x1, y1 of its people within it."""
        return self._batches.map(self._detect, frames)

    def _detect(self, frames: Sequence[np.ndarray]) -> list[list[Box]]:
        # YOLOX was trained on BGR, whole numbers up to 255.
        bgr = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames]
        prepared = [self._tool.preprocess(image) for image in bgr]
        (outputs, *_) = _run(self._tool, [image for image, _ in prepared])
        height, width = self._tool.model_input_size
        places = sum((height // stride) * (width // stride) for stride in (8, 16, 32))
        if outputs.ndim != 3 or outputs.shape[1] != places or outputs.shape[2] <= 5:
            raise InputError(
                f"{self._tool.onnx_model} gives {outputs.shape}, not YOLOX's (images, {places}, "
                f"4 + 1 + classes): the file must be the one without suppression in the graph"
            )
        people = []
        for frame, output, (_, ratio) in zip(frames, outputs, prepared, strict=True):
            boxes, classes = self._tool.postprocess(output[None], ratio)
            height, width = frame.shape[:2]
            inside = np.clip(boxes[classes == PERSON].reshape(-1, 4), 0, (width, height) * 2)
            wide = (inside[:, 2:] - inside[:, :2] >= 1).all(1)
            people.append([tuple(box) for box in inside[wide].tolist()])
        return people


class PoseNetwork:
    """The joints of a person in a box, by RTMPose."""

    def __init__(self, path: Path, hardware: Hardware) -> None:
        """Raises InputError when rtmlib is not installed, or the file is absent or another's."""
        with needed_packages("DWPose"):
            from rtmlib import RTMPose
        self._tool = _load(RTMPose, path, hardware.device)
        count, height, width = _input_shape(self._tool)
        self._tool.model_input_size = (width or 288, height or 384)
        self._batches = _batches(hardware, count, POSE_BYTES)

    def __call__(self, wanted: Sequence[tuple[np.ndarray, Box]]) -> list[np.ndarray]:
        """For each (frame, box): (133, 3) float64 in the order of COCO-WholeBody: x, y in the
        frame's pixels and the score as the network gives it."""
        return self._batches.map(self._find, wanted)

    def _find(self, wanted: Sequence[tuple[np.ndarray, Box]]) -> list[np.ndarray]:
        # RTMPose was trained on RGB, which is what the mean and deviation are of.
        prepared = [self._tool.preprocess(frame, box) for frame, box in wanted]
        outputs = _run(self._tool, [image for image, _, _ in prepared])
        if [output.shape[:2] for output in outputs] != [(len(wanted), JOINTS)] * 2:
            raise InputError(
                f"{self._tool.onnx_model} gives {[output.shape for output in outputs]}, not two "
                f"rows of places for each of {JOINTS} joints: it is not DWPose's network"
            )
        found = []
        for x, y, (_, centre, scale) in zip(*outputs, prepared, strict=True):
            joints, scores = self._tool.postprocess((x[None], y[None]), centre, scale)
            found.append(np.concatenate([joints[0], scores[0][:, None]], 1))
        return found


def _batches(hardware: Hardware, count: int | None, bytes_per_item: int) -> Batches:
    """`count`: what the file itself fixes."""
    return Batches(replace(hardware, batch=count or hardware.batch), bytes_per_item)


def _load(tool: Any, path: Path, device: str, **options: Any) -> Any:
    if not Path(path).is_file():
        raise InputError(f"there is no file of weights at {path}")
    with needed_packages("DWPose"):
        import onnxruntime
    on_gpu = device.startswith("cuda")
    if on_gpu and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        warnings.warn(
            "DWPose runs on the CPU: the installed onnxruntime knows no CUDA. With onnxruntime-gpu "
            "in its place it runs on the GPU.",
            stacklevel=4,
        )
        device = "cpu"
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
            return tool(str(path), backend="onnxruntime", device=device, **options)
    except Exception as error:  # onnxruntime's errors have no common class but this
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} is no ONNX network that onnxruntime can run ({reason}): fetch it again"
        ) from error


def _input_shape(tool: Any) -> tuple[int | None, int | None, int | None]:
    """Images at once, height and width that the ONNX file holds, None for what it leaves open."""
    inputs = tool.session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise InputError(f"{tool.onnx_model} is no network for images: fetch it again")
    count, _, height, width = (n if isinstance(n, int) else None for n in inputs[0].shape)
    return count, height, width


def _run(tool: Any, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Images (H, W, 3) -> the network's outputs, each with one entry an image."""
    batch = np.stack(images).transpose(0, 3, 1, 2)
    given = {tool.session.get_inputs()[0].name: np.ascontiguousarray(batch, np.float32)}
    return tool.session.run([output.name for output in tool.session.get_outputs()], given)
