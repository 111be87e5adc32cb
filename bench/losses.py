"""The consistency losses against Eq. 3-6 computed whole: ratios of peak memory and time.

Run from the repository root: `python bench/losses.py`. It takes minutes and 12 GB at latent 64.
Shapes are those of the finest layer that the losses compare in the paper's model: 320 channels,
8 heads, 257 foreground tokens. Peak memory counts forward and backward, beyond inputs; "loss
itself" leaves out the gradients of the inputs too, which any version must hold.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # the profiler's own diary

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from idol.bench.measure import Cost, measure
from idol.losses import cross_attention_consistency, literal, motion_consistency

CHANNELS, HEADS, TOKENS = 320, 8, 257


def cost_of(loss: Callable[..., Tensor], inputs: list[Tensor], repeats: int, device: str) -> Cost:
    def step() -> None:
        for x in inputs:
            x.grad = None
        loss(*inputs).backward()

    step()
    for x in inputs:
        x.grad = None
    return measure(step, device, repeats)


def compare(size: int, frames: int, repeats: int, device: str) -> list[list[str]]:
    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device, requires_grad=True)

    tau = CHANNELS**-0.5
    features = [draw(1, frames, size, size, CHANNELS) for _ in range(2)]
    queries, keys = (
        [draw(frames, HEADS, n, CHANNELS // HEADS) for _ in range(2)] for n in (size**2, TOKENS)
    )
    cases = {
        "motion, Eq. 3-5": (
            lambda v, d: motion_consistency(v, d, tau),
            lambda v, d: literal.motion_consistency(v, d, tau),
            features,
        ),
        "cross-attention, Eq. 6": (
            cross_attention_consistency,
            literal.cross_attention_consistency,
            [queries[0], keys[0], queries[1], keys[1]],
        ),
    }
    rows = []
    for name, (ours, naive, inputs) in cases.items():
        gradients = sum(x.numel() * x.element_size() for x in inputs)
        a, b = (cost_of(loss, inputs, repeats, device) for loss in (ours, naive))
        itself = (a.peak_bytes - gradients) / (b.peak_bytes - gradients)
        error = abs(float(ours(*inputs).detach()) / float(naive(*inputs).detach()) - 1)
        rows.append(
            [
                f"{size}x{size}",
                name,
                f"{a.peak_bytes / 1e6:,.0f} / {b.peak_bytes / 1e6:,.0f} MB",
                f"{a.peak_bytes / b.peak_bytes:.3f}",
                f"{itself:.3f}",
                f"{a.seconds:.2f} / {b.seconds:.2f} s",
                f"{a.seconds / b.seconds:.2f}",
                f"{error:.0e}",
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own choice")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    table = Table(title=f"blockwise / whole, float32, {options.frames} frames, {device}")
    for column in ("latent", "loss", "peak", "ratio", "loss itself", "time", "ratio", "error"):
        table.add_column(column, justify="right")
    for size in options.sizes:
        for row in compare(size, options.frames, options.repeats, device):
            table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
