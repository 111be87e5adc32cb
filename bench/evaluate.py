"""Evaluation's features: how fast against torch-fidelity, and how much memory at scale.

    python bench/evaluate.py throughput FRAMES_OR_VIDEO [--frames 128] [--threads 2]
    python bench/evaluate.py scale [--rows 1000000] [--features 2048] [--samples 3] [--folder DIR]

`throughput` writes frames of a video as PNG files and times both on them, decoding included, in one
run, turn about, on the same weights (`idol-prep weights fetch inception`). `scale` keeps random
features of many videos in a store, then takes moments and a bootstrap of them; it prints the times,
and the peak of the process's memory.
"""

import argparse
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from idol.errors import IdolError
from shards.command import run


def throughput(options: argparse.Namespace) -> None:
    import torch
    from PIL import Image

    from idol.evaluate.annotate.external import locate
    from idol.evaluate.features import FeatureStore, extract
    from idol.evaluate.networks import load_network
    from idol.evaluate.resize import pil_bicubic
    from shards.files.digest import sha256_file

    torch.set_num_threads(options.threads)
    network = load_network("inception-v3-2015-12-05")
    path, _ = locate("inception/inception-v3.pt")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "frames"
        write_frames(options.source, folder, options.frames, options.size)
        theirs = torch_fidelity_features(path, Path(scratch))
        names = sorted(folder.glob("*.png"))

        def ours(turn: int) -> np.ndarray:
            store = FeatureStore(Path(scratch) / f"store-{turn}", network, "pil-bicubic 299")

            def prepare(name: Path) -> np.ndarray:
                return pil_bicubic(np.asarray(Image.open(name).convert("RGB"))[None], 299)

            videos = ((sha256_file(name), lambda name=name: prepare(name)) for name in names)
            rows = extract(network, store, videos, batch=options.batch, decoders=2)
            return rows.read(range(rows.videos))

        times: dict[str, list[float]] = {"idol": [], "torch-fidelity": []}
        for turn in range(options.turns):
            start = time.perf_counter()
            mine = ours(turn)
            times["idol"].append(time.perf_counter() - start)
            start = time.perf_counter()
            other = theirs(folder, options.batch)
            times["torch-fidelity"].append(time.perf_counter() - start)
        assert mine.shape == other.shape
    for name, seconds in times.items():
        each = ", ".join(f"{options.frames / s:.2f}" for s in seconds)
        print(f"{name}: {each} frames a second, {options.threads} threads")
    ratio = min(times["torch-fidelity"]) / min(times["idol"])
    print(f"ratio, best against best: {ratio:.2f}")
    closeness = np.corrcoef(mine.ravel(), other.ravel())[0, 1]
    print(f"correlation of the features (filters of resizing differ): {closeness:.4f}")


def write_frames(source: Path, folder: Path, frames: int, size: int) -> None:
    """The middle square of a video's first frames, as PNG files."""
    import av
    from PIL import Image

    folder.mkdir()
    with av.open(str(source)) as container:
        for number, frame in zip(range(frames), container.decode(video=0), strict=False):
            image = frame.to_image()
            side = min(image.size)
            left, top = ((extent - side) // 2 for extent in image.size)
            square = image.crop((left, top, left + side, top + side))
            square.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{number:05}.png")
    found = len(list(folder.iterdir()))
    if found < frames:
        raise IdolError(f"{source} has {found} frames; ask for fewer: --frames {found}")


def torch_fidelity_features(path: Path, scratch: Path):
    """A function of a folder and a batch size, and torch-fidelity's network on the same weights."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.utils import extract_featuresdict_from_input_id

    class Empty(FeatureExtractorInceptionV3):
        def load_state_dict(self, state: dict, *args: object, **keywords: object) -> object:
            return super().load_state_dict(state, *args, **keywords) if state else None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.load(path, map_location="cpu").state_dict()
    torch.save({}, scratch / "none.pth")
    network = Empty("inception", ["2048"], feature_extractor_weights_path=scratch / "none.pth")
    state = network.state_dict()
    units = [name.removesuffix(".conv.weight") for name in state if name.endswith("conv.weight")]
    layers = [name.removesuffix(".weight") for name in program if name.endswith(".weight")]
    # Both name their convolutions in the order of their use.
    for unit, layer in zip(units, layers, strict=True):
        state[f"{unit}.conv.weight"] = program[f"{layer}.weight"]
        state[f"{unit}.bn.weight"] = torch.ones_like(program[f"{layer}.beta"])
        state[f"{unit}.bn.bias"] = program[f"{layer}.beta"]
        state[f"{unit}.bn.running_mean"] = program[f"{layer}.mean"]
        state[f"{unit}.bn.running_var"] = program[f"{layer}.var"]
    network.load_state_dict(state)

    def extract(folder: Path, batch: int) -> np.ndarray:
        found = extract_featuresdict_from_input_id(
            1, network, input1=str(folder), batch_size=batch, cuda=False, verbose=False
        )
        return found["2048"].numpy()

    return extract


class Drawn:
    """Stands where a network does: its features are what it is given."""

    def __init__(self, features: int) -> None:
        self.features, self.fingerprint = features, f"drawn {features}"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return frames


def scale(options: argparse.Namespace) -> None:
    from idol.evaluate.bootstrap import frechet_interval
    from idol.evaluate.features import FeatureStore

    frames = 100
    videos = options.rows // frames
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        store = FeatureStore(Path(scratch), Drawn(options.features))
        rng = np.random.default_rng(0)
        drawn = rng.standard_normal((50 * frames, options.features), np.float32)
        drawn *= 1 / np.sqrt(1 + np.arange(options.features, dtype=np.float32))
        start = time.perf_counter()
        for video in range(videos):
            at = int(rng.integers(0, len(drawn) - frames))
            store.add(str(video), drawn[at : at + frames] * rng.normal(1, 0.1) + 0.5)
        rows = store.videos([str(video) for video in range(videos)])
        report(f"{rows.count:,} rows of {options.features} written, {videos:,} videos", start)
        start = time.perf_counter()
        moments = rows.moments()
        report(f"mean and covariance of {moments.count:,} rows", start)
        start = time.perf_counter()
        distance = moments.distance(moments)
        report(f"distance against itself ({distance:.2g})", start)
        if options.samples:
            start = time.perf_counter()
            found = frechet_interval(rows, rows, samples=options.samples)
            report(
                f"{found.samples} bootstrap samples in {found.groups} groups of videos, both sides",
                start,
            )


def report(what: str, start: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.perf_counter() - start:.1f} s; peak so far {peak:.0f} MB", flush=True)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("throughput")
    one.add_argument("source", type=Path, help="a video")
    one.add_argument("--frames", type=int, default=128)
    one.add_argument("--size", type=int, default=256)
    one.add_argument("--batch", type=int, default=32)
    one.add_argument("--threads", type=int, default=2)
    one.add_argument("--turns", type=int, default=2)
    one.set_defaults(run=throughput)
    two = commands.add_parser("scale")
    two.add_argument("--rows", type=int, default=1_000_000)
    two.add_argument("--features", type=int, default=2048)
    two.add_argument("--samples", type=int, default=3)
    two.add_argument("--folder", type=Path)
    two.set_defaults(run=scale)
    options = parser.parse_args(argv)
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(run("evaluate.py", main, errors=(IdolError, OSError)))
