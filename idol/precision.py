"""In which precision a machine computes: float32 on NVIDIA GPUs, and bf16 on CPUs."""

import torch

__all__ = ["bf16_is_slow", "round_to_tf32"]


def round_to_tf32(on: bool) -> None:
    """Let products and convolutions of float32 round their operands to TF32's 10 bits, or not."""
    precision = "tf32" if on else "ieee"
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]


def bf16_is_slow(device: torch.device) -> bool:
    """Whether this is a CPU of PCs that has no bf16 arithmetic, and takes several times as long for
    it as for float32."""
    if device.type != "cpu":
        return False
    able = torch.cpu.get_capabilities()
    x86 = able.get("architecture") == "x86_64"
    return x86 and not (able.get("avx512_bf16") or able.get("amx_bf16"))
