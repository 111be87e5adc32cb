"""What converting no more of a large picture than is looked at saves: `bench/crop_first.py`.

A video of a person (the demo's footage, enlarged), of 4K and 10 bits a sample, plain and tagged as
HDR (PQ), and of 1080p and 8 bits, is made into clips with all of each frame converted to RGB, and
by parts. The clips must be the same bytes. Seconds are of the processor, decoding included and the
survey of the shot not; pixels are those converted, of all in the frames that were looked at.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace

import preprocess.picture
from pipelines.build import plan_build
from pipelines.recipe import Recipe
from pipelines.worker import Setup, Worker
from preprocess import weights
from preprocess.annotators.spec import Hardware
from preprocess.hdr import pq_code
from preprocess.provenance import provenance

NOBODY = {"mask": "none", "pose": "none", "depth": ("none",), "crop": "center"}
RECIPES: dict[str, dict[str, Any]] = {
    "square in the middle, no annotator": NOBODY,
    "lite annotators, square around the person": {},
}
PQ = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
KINDS: dict[str, tuple[int, str, dict[str, int]]] = {
    "4K, 10 bits": (2160, "yuv420p10le", {}),
    "4K, 10 bits, HDR": (2160, "yuv420p10le", PQ),
    "1080p, 8 bits": (1080, "yuv420p", {}),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=16, help="of the video: one clip")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind, (height, pixels, tags) in KINDS.items():
            source = Path(folder, kind)
            enlarged(source / "person.mp4", given.frames, height, pixels, tags)
            for name, settings in RECIPES.items():
                print(f"{kind}, {name}")
                compare(source, Recipe("videos", **settings, clip_length=8, shots="off"))
    return 0


def enlarged(path: Path, frames: int, height: int, pixels: str, tags: dict[str, int]) -> None:
    path.parent.mkdir()
    footage = weights.locate("footage/demo.mp4")
    with av.open(str(footage)) as taken, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        width = height * 16 // 9
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for _, small in zip(range(frames), taken.decode(video=0), strict=False):
            rgb = small.to_ndarray(format="rgb24")
            factor = height / rgb.shape[0]
            rgb = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            beside = max(0, width - rgb.shape[1])
            wide = cv2.copyMakeBorder(
                rgb, 0, 0, beside // 2, beside - beside // 2, cv2.BORDER_REFLECT
            )
            image = np.ascontiguousarray(wide[:height, :width])
            frame = av.VideoFrame.from_ndarray(image)
            if tags:  # as bright as it was
                codes = (pq_code((image / 255.0) ** 2.2 * 203) * 65535).astype(np.uint16)
                frame = av.VideoFrame.from_ndarray(codes, format="rgb48le")
                frame = frame.reformat(format=pixels, dst_colorspace=Colorspace.BT2020)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


class Counted(preprocess.picture.ByParts):
    """Tells what it converts, of how much, as it does."""

    converted_in_all = pixels = 0
    _converted = 0

    @property
    def converted(self) -> int:
        return self._converted

    @converted.setter
    def converted(self, pixels: int) -> None:
        if pixels and not self._converted:
            Counted.pixels += self.shape[0] * self.shape[1]
        Counted.converted_in_all += pixels - self._converted
        self._converted = pixels


def compare(source: Path, recipe: Recipe) -> None:
    plan = plan_build(recipe, source)
    worker = Worker(
        Setup(recipe, source, None, Hardware(), provenance(recipe, None)),
    )
    preprocess.picture.ByParts = Counted  # type: ignore[misc]
    large = preprocess.picture._LARGE
    made: dict[str, list[Any]] = {}
    tasks = plan.tasks(plan.shards)
    for task in tasks:
        worker.run(task)  # the survey of its shot, which looks at 16 whole frames, is kept
    frames = sum(len(task.first_frames) for task in tasks) * recipe.frames
    for way, least in (("whole", sys.maxsize), ("by parts", large)):
        preprocess.picture._LARGE = least
        gc.collect()
        Counted.converted_in_all = Counted.pixels = 0
        made[way] = []
        began = time.process_time()
        for task in tasks:
            worker.run(task, made=lambda place, clip, way=way: made[way].append(clip))
        seconds = time.process_time() - began
        gc.collect()
        share = Counted.converted_in_all / Counted.pixels if Counted.pixels else 1
        print(
            f"  {way:>9}: {seconds / frames * 1e3:.0f} ms a frame, {share:.0%} of the pixels",
            flush=True,
        )
    preprocess.picture._LARGE = large
    assert made["whole"] == made["by parts"]
    assert all(isinstance(clip, tuple) for clip in made["whole"]), made["whole"]


if __name__ == "__main__":
    sys.exit(main())
