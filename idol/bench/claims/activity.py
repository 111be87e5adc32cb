"""How much of a step's gradient comes from the consistency losses.

python -m idol.bench.claims.activity OUTPUT FILE     # of a run of stage video, as json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from idol.config import LossConfig
from idol.data.datasets import open_datasets
from idol.data.preparation import Preparation
from idol.diffusion.noise import Randomness
from idol.diffusion.schedule import noise_schedule
from idol.model import set_trainable
from idol.saved import load_trained
from idol.train.cli import parse
from idol.train.loop import step_losses
from shards.files.atomic import write_atomically

__all__ = ["INACTIVE", "gradient_share"]

INACTIVE = 0.01
"""Below this share a row that differs by a consistency loss alone is called inactive."""

_BATCHES = 4


def gradient_share(output: Path) -> float:
    """Norm of the weighted consistency losses' gradient over that of the denoising loss.

    At the last weights of a run of stage video, over its trained parameters, the mean over a few of
    its first batches; 0 where no consistency loss counts.

    Args:
        output: the run's `--output`.
    """
    saved = json.loads((output / "config.json").read_bytes())
    loss = LossConfig(**saved["loss"])
    if not loss.compares:
        return 0.0
    config = parse(["--config", str(output / "config.json")])
    trained, _ = load_trained(output)
    parameters = set_trainable(trained.denoiser, "video")
    prepare = Preparation.of(config, trained.codec, trained.image_encoder)
    random = Randomness(config.run.seed)
    batches = open_datasets(config).training_batches(
        rank=0, processes=1, consumed=0, pin_memory=False
    )
    shares = []
    for _ in range(_BATCHES):
        batch = prepare(next(batches), torch.device("cpu"), random=random)
        losses, _ = step_losses(trained.denoiser, batch, random, noise_schedule(), loss)
        consistency = (
            loss.motion_weight * losses.motion
            + loss.cross_attention_weight * losses.cross_attention
        )
        norms = [
            _norm(torch.autograd.grad(part, parameters, retain_graph=True, allow_unused=True))
            for part in (consistency, losses.total - consistency)
        ]
        shares.append(norms[0] / norms[1])
    return sum(shares) / len(shares)


def _norm(gradients: tuple[torch.Tensor | None, ...]) -> float:
    squares = [g.square().sum() for g in gradients if g is not None]
    return float(torch.stack(squares).sum().sqrt())


if __name__ == "__main__":
    found = {"consistency_gradient": gradient_share(Path(sys.argv[1]))}
    write_atomically(Path(sys.argv[2]), json.dumps(found).encode())
