"""How exactly NVIDIA GPUs multiply numbers of float32."""

import torch

__all__ = ["round_to_tf32"]


def round_to_tf32(on: bool) -> None:
    """Let products and convolutions of float32 round their operands to TF32's 10 bits, or not."""
    precision = "tf32" if on else "ieee"
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]
