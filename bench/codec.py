"""How faithful codecs are: PSNR of pictures that go through them and back, by kind.

    python bench/codec.py --shards filmed --split val --size 128 --learnt filmed rendered \\
        --models runs/codec/model

Beside each autoencoder of `idol-train --stage autoencoder` stand linear codes: the principal
directions of 4x4 and 8x8 patches of the clips at --learnt, of so many numbers a patch. A picture's
error is that of all its pixels, in 8 bits; what is printed is the mean of pictures, in dB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from idol.data.preparation import scale_images
from idol.encoders import VAECodec
from idol.encoders.joint import joined
from idol.errors import IdolError
from shards import open_dataset
from shards.command import run
from shards.errors import ShardsError
from shards.sample.colormap import depth_to_hot

LINEAR = ((4, 8), (4, 12), (4, 16), (8, 32), (8, 48), (8, 60))

Pictures = dict[str, Tensor]


def pictures(paths: Sequence[str], split: str, size: int, frames: int) -> Pictures:
    """Frames and depth pictures, (N, 3, H, W) in [-1, 1] each: of each clip some, evenly spaced."""
    found: dict[str, list[Tensor]] = {"frame": [], "depth": []}
    for path in paths:
        for clip in open_dataset(Path(path) / split).clips():
            assert clip.depth_person is not None
            at = np.linspace(0, len(clip.rgb) - 1, frames).astype(int)
            kinds = {"frame": clip.rgb[at], "depth": depth_to_hot(clip.depth_person[at])}
            for kind, images in kinds.items():
                found[kind].append(scale_images(images, size))
    return {kind: torch.cat(images) for kind, images in found.items()}


def psnr(given: Tensor, made: Tensor) -> float:
    """The mean of pictures, in dB."""
    given, made = (((x.clamp(-1, 1) + 1) * 127.5).round() for x in (given, made))
    errors = (given - made).square().mean(dim=(1, 2, 3)).clamp(min=1e-3)
    return float((10 * torch.log10(255**2 / errors)).mean())


def through(code: Callable[[Tensor], Tensor], of: Mapping[str, Tensor]) -> Iterator[str]:
    """What comes back of each kind, in dB."""
    for kind, given in of.items():
        made = torch.cat([code(part) for part in given.split(8)])
        yield f"{kind} {psnr(given, made):.2f}"


def linear(patch: int, count: int, learnt: Pictures) -> Callable[[Tensor], Tensor]:
    """The projection on so many principal directions of patches."""
    energy = torch.zeros(3 * patch**2, 3 * patch**2, dtype=torch.float64)
    for kind, weight in (("frame", 5), ("depth", 1)):  # as stage autoencoder takes them
        for part in learnt[kind].split(8):
            rows = F.pixel_unshuffle(part, patch).movedim(1, -1).flatten(0, -2)
            energy += weight * (rows.mT @ rows)
    _, directions = torch.linalg.eigh(energy)
    code = directions.flip(1)[:, :count].float()

    def project(given: Tensor) -> Tensor:
        patches = F.pixel_unshuffle(given, patch).movedim(1, -1)
        return F.pixel_shuffle((patches @ code @ code.mT).movedim(-1, 1), patch)

    return project


@torch.no_grad()
def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shards", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--split", default="val")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--frames", type=int, default=4, help="of a clip")
    parser.add_argument("--learnt", nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--models", nargs="*", type=Path, default=[], metavar="FOLDER")
    arguments = parser.parse_args(argv)
    for folder in arguments.models:
        if not (folder / "config.json").is_file():
            raise IdolError(
                f"{folder} holds no autoencoder: give model/ of what idol-train --stage "
                "autoencoder left"
            )
    size = arguments.size
    of = pictures(arguments.shards, arguments.split, size, arguments.frames)
    print(f"{len(of['frame'])} frames of {size}x{size} pixels, and as many depth pictures; dB:")
    if arguments.learnt:
        learnt = pictures(arguments.learnt, "train", size, arguments.frames)
        for patch, count in LINEAR:
            said = ", ".join(through(linear(patch, count, learnt), of))
            print(f"linear, {count} numbers a {patch}x{patch} patch: {said}")
    for folder in arguments.models:
        codec = VAECodec.from_pretrained(folder)
        parameters = sum(p.numel() for p in codec.vae.parameters())
        what = f"{folder}, {codec.channels} numbers a {codec.factor}x{codec.factor} patch"

        def code(given: Tensor, codec: VAECodec = codec) -> Tensor:
            return codec.decode(codec.encode(given))

        if codec.holds_depth:
            both = joined(of["frame"], of["depth"])
            made = torch.cat([code(part) for part in both.split(8)])
            kinds = {"frame": slice(0, 3), "depth": slice(3, 4)}
            said = ", ".join(f"{k} {psnr(both[:, at], made[:, at]):.2f}" for k, at in kinds.items())
        else:
            said = ", ".join(through(code, of))
        print(f"{what}, {parameters} parameters: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(run("codec.py", main, errors=(IdolError, ShardsError, OSError)))
