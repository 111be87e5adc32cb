"""The invisible mark: does it survive, is it seen, is it found where it is not.

    python bench/watermark.py footage=demo/shards people=people --json idol/evaluate/watermark.json

Frames of shards are looked at as they are (false alarms), marked as `idol-generate` does on a CPU
(a mark for up to 8 frames), and looked at again after what happens to videos. Small frames are
enlarged first, as in `idol-generate`'s videos. Cells of the table: share of bits read right in
single frames; frames found; videos found, of whose frames eight are read together, as
`idol-eval watermark` does. Without datasets it prints the table of what is in the json.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from scipy.stats import beta

from idol.errors import IdolError
from idol.generate.outputs import enlargement
from idol.generate.watermark import Detection, Watermark, detect, judge, read
from shards import open_dataset
from shards.command import run
from shards.errors import ShardsError

Frames = list[np.ndarray]


def jpeg(quality: int) -> Callable[[Frames], Frames]:
    def again(frames: Frames) -> Frames:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        coded = (cv2.imencode(".jpg", f[..., ::-1], options)[1] for f in frames)
        return [cv2.imdecode(c, cv2.IMREAD_COLOR_RGB) for c in coded]

    return again


def half(frames: Frames) -> Frames:
    return [cv2.resize(f, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for f in frames]


def h264(crf: int) -> Callable[[Frames], Frames]:
    def again(frames: Frames) -> Frames:
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": str(crf), "threads": "1"}
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        file.seek(0)
        with av.open(file) as container:
            return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]

    return again


def together(*steps: Callable[[Frames], Frames]) -> Callable[[Frames], Frames]:
    def again(frames: Frames) -> Frames:
        for step in steps:
            frames = step(frames)
        return frames

    return again


DONE: dict[str, Callable[[Frames], Frames]] = {
    "as marked": lambda frames: frames,
    "JPEG 80": jpeg(80),
    "H.264 crf 23": h264(23),
    "H.264 crf 18, then 23": together(h264(18), h264(23)),
    "H.264 crf 28": h264(28),
    "half the size, H.264 crf 23": together(half, h264(23)),
}


def clips(folder: str, size: int | None, most: int) -> Iterator[Frames]:
    """Frames of up to `most` clips, spread over the dataset."""
    dataset = open_dataset(folder)
    keys = sorted(dataset.entries)
    for at in np.unique(np.linspace(0, len(keys) - 1, min(most, len(keys))).round().astype(int)):
        yield [shown(frame, size) for frame in dataset.read(keys[at]).rgb]


def shown(frame: np.ndarray, size: int | None) -> np.ndarray:
    """As in a video of `idol-generate` whose model makes frames of `size` pixels."""
    if size is not None:
        frame = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
    side = len(frame) * enlargement(len(frame))
    same = side == len(frame)
    return frame if same else cv2.resize(frame, (side, side), interpolation=cv2.INTER_CUBIC)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def unmarked(folder: str, most: int, step: int) -> dict[str, int]:
    frames = (f for clip in clips(folder, None, most) for f in clip[::step])
    found = [detect([frame]) for frame in frames]
    return {
        "frames": len(found),
        "false_alarms": sum(each.marked for each in found),
        "most_agreeing": max(each.agreeing for each in found),
        "agreeing": sum(each.agreeing for each in found),
    }


def total(rows: Sequence[dict[str, int]]) -> dict[str, float]:
    """Of all datasets; `bound` as by Clopper and Pearson, one-sided, 95 %."""
    frames, alarms = (sum(row[name] for row in rows) for name in ("frames", "false_alarms"))
    return {
        "frames": frames,
        "false_alarms": alarms,
        "bound": float(beta.ppf(0.95, alarms + 1, frames - alarms)),
        "most_agreeing": max(row["most_agreeing"] for row in rows),
        "mean_agreeing": sum(row["agreeing"] for row in rows) / frames,
    }


def survival(folder: str, size: int | None, most: int) -> dict[str, object]:
    mark = Watermark.load(8)
    single: dict[str, list[Detection]] = {name: [] for name in DONE}
    whole: dict[str, list[Detection]] = {name: [] for name in DONE}
    noise = []
    for clip in clips(folder, size, most):
        frames = clip[:8]
        marked = list(mark.mark(frames))
        noise += [psnr(m, f) for m, f in zip(marked, frames, strict=True)]
        for name, step in DONE.items():
            after = step(marked)
            said = [read(frame) for frame in after]
            single[name] += [judge([one]) for one in said]
            whole[name].append(judge(said))
    rows = {
        name: {
            "frames": len(single[name]),
            "bits_right": float(np.mean([d.agreeing for d in single[name]]) / 32),
            "frames_found": sum(d.marked for d in single[name]),
            "videos": len(whole[name]),
            "videos_found": sum(d.marked for d in whole[name]),
        }
        for name in DONE
    }
    return {"psnr_least": min(noise), "psnr_mean": float(np.mean(noise)), "after": rows}


def table(result: dict[str, Any]) -> str:
    """For docs/watermark.md."""
    marked = {
        f"{name}{kind.removeprefix('marked')}": row[kind]
        for name, row in result["datasets"].items()
        for kind in ("marked", "marked, of 64 pixels")
    }
    lines = ["| " + " | ".join(["", *marked]) + " |", "|---" * (len(marked) + 1) + "|"]
    noise = (f"{row['psnr_least']:.1f} / {row['psnr_mean']:.1f}" for row in marked.values())
    lines.append("| " + " | ".join(["PSNR in dB, least / mean", *noise]) + " |")
    for step in DONE:
        cells = []
        for row in marked.values():
            after = row["after"][step]
            found = (f"{after[f'{n}_found']} of {after[n]}" for n in ("frames", "videos"))
            cells.append(f"{after['bits_right']:.3f}; {'; '.join(found)}")
        lines.append("| " + " | ".join([step, *cells]) + " |")
    alarms = result["unmarked"]
    lines.append(
        f"\nUnmarked: {alarms['false_alarms']} of {alarms['frames']} frames were said to be marked "
        f"(below {100 * alarms['bound']:.2f} % with 95 % confidence); on average "
        f"{alarms['mean_agreeing']:.1f} of their 32 bits agree, at most {alarms['most_agreeing']}."
    )
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", nargs="*", help="NAME=FOLDER of datasets, each for itself")
    parser.add_argument("--json", type=Path, help="write figures here, beside those of other names")
    parser.add_argument("--clips", type=int, default=1000, help="of each dataset, unmarked")
    parser.add_argument("--marked", type=int, default=6, help="clips of each dataset to mark")
    parser.add_argument("--step", type=int, default=1, help="every so many frames, unmarked")
    given = parser.parse_args(argv)
    there = given.json is not None and given.json.is_file()
    datasets = json.loads(given.json.read_text())["datasets"] if there else {}
    for each in given.shards:
        name, _, folder = each.partition("=")
        datasets[name] = {
            "unmarked": unmarked(folder, given.clips, given.step),
            "marked": survival(folder, None, given.marked),
            "marked, of 64 pixels": survival(folder, 64, given.marked),
        }
    rows = [row["unmarked"] for row in datasets.values()]
    result = {"unmarked": total(rows), "datasets": datasets}
    print(table(result))
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run("watermark.py", main, errors=(IdolError, ShardsError, OSError)))
