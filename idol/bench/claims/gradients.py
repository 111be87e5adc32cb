"""How much of a step's gradient comes from the consistency losses.

python -m idol.bench.claims.gradients OUTPUT FILE     # of a run of stage video, as json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from idol.config import LossConfig
from idol.data.datasets import open_datasets
from idol.data.preparation import Preparation
from idol.diffusion.noise import Randomness
from idol.diffusion.schedule import noise_schedule
from idol.model import set_trainable
from idol.model_info import model_digest
from idol.saved import load_trained
from idol.train.cli import parse
from idol.train.loop import step_losses
from shards.files.atomic import write_atomically

__all__ = ["INACTIVE", "gradient_shares"]

INACTIVE = 0.01
"""Below this share of the loss that it adds a row is called inactive."""

_BATCHES = 4


def gradient_shares(output: Path) -> dict[str, float]:
    """Norms of the weighted consistency losses' gradients over that of the denoising loss.

    At the last weights of a run of stage video, over its trained parameters, the mean over a few of
    its first batches; 0 where a loss does not count.

    Args:
        output: the run's `--output`.

    Returns:
        `motion` and `cross_attention`, each by itself, and `both`, of their sum.
    """
    saved = json.loads((output / "config.json").read_bytes())
    loss = LossConfig(**saved["loss"])
    if not loss.compares:
        return dict.fromkeys(("motion", "cross_attention", "both"), 0.0)
    config = parse(["--config", str(output / "config.json")])
    trained, _ = load_trained(output)
    parameters = set_trainable(trained.denoiser, "video")
    prepare = Preparation.of(config, trained.codec, trained.image_encoder)
    random = Randomness(config.run.seed)
    batches = open_datasets(config).training_batches(
        rank=0, processes=1, consumed=0, pin_memory=False
    )
    found: dict[str, list[float]] = {"motion": [], "cross_attention": [], "both": []}
    for _ in range(_BATCHES):
        batch = prepare(next(batches), torch.device("cpu"), random=random)
        losses, _ = step_losses(trained.denoiser, batch, random, noise_schedule(), loss)
        motion = loss.motion_weight * losses.motion
        attention = loss.cross_attention_weight * losses.cross_attention
        denoising = _norm(_gradient(losses.total - motion - attention, parameters))
        parts = {"motion": motion, "cross_attention": attention, "both": motion + attention}
        for name, part in parts.items():
            found[name].append(_norm(_gradient(part, parameters)) / denoising)
    return {name: sum(shares) / len(shares) for name, shares in found.items()}


def _gradient(part: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    if not part.requires_grad:  # its weight is 0
        return []
    of_each = torch.autograd.grad(part, parameters, retain_graph=True, allow_unused=True)
    return [gradient for gradient in of_each if gradient is not None]


def _norm(gradients: Sequence[Tensor]) -> float:
    if not gradients:
        return 0.0
    return float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt())


if __name__ == "__main__":
    said = {"model": model_digest(sys.argv[1]), **gradient_shares(Path(sys.argv[1]))}
    write_atomically(Path(sys.argv[2]), json.dumps(said).encode())
