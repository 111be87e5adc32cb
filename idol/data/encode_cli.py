"""`idol-prep encode`: cached latents beside a dataset's shards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import tyro

from preprocess.errors import InputError

__all__ = ["encode"]


def encode(
    dataset: tyro.conf.Positional[str],
    base: Path,
    size: int = 256,
    device: str = "auto",
    batch: int = 16,
    precision: Literal["float32", "float16", "bfloat16"] = "float32",
    share: str = "0/1",
) -> int:
    """Cache a VAE's latents beside a built dataset's shards; run again, it goes on.

    `idol-train --latents` takes them in place of pictures (see docs/latents.md).

    Args:
        dataset: Folder or URL (s3://...) of a whole dataset.
        base: Folder in diffusers' layout with the VAE in vae/, or the VAE's own.
        size: Height and width of training pictures, in pixels.
        device: Device of torch: cpu, cuda, cuda:1, ... Default: a GPU if there is one.
        batch: Pictures that pass through the VAE at a time.
        precision: In which the VAE runs; latents are stored in float16.
        share: I/N makes every N-th shard from the I-th (0 to N - 1) on, for N processes.
    """
    from idol.data.encode import Encoding
    from idol.data.encode import encode as run_encode
    from idol.data.encode_show import Progress, summary

    match = re.fullmatch(r"([0-9]+)/([0-9]+)", share)
    if match is None:
        raise InputError(f"--share must be I/N, such as 0/4, not {share!r}")
    encoding = Encoding(
        dataset=dataset,
        base=base,
        size=size,
        device=device,
        batch=batch,
        precision=precision,
        share=(int(match[1]), int(match[2])),
    )
    with Progress() as reporter:
        done = run_encode(encoding, reporter)
    summary(done)
    return 0
