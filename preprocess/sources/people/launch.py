"""Handing numpy arrays to kernels of `warp`, which run on the CPU, in one thread."""

import numpy as np
import warp as wp

from shards.files.native_stderr import silent_stderr

__all__ = ["array", "mat", "run", "vec"]

wp.config.log_level = wp.LOG_ERROR  # else it greets
with silent_stderr():  # that there is no GPU, which nobody asked
    wp.init()


def array(values: np.ndarray, dtype: type) -> wp.array:
    """Shares memory with `values` where they are laid out already."""
    return wp.array(np.ascontiguousarray(values), dtype=dtype, device="cpu", copy=False)


def vec(values: np.ndarray) -> wp.vec3:
    """Of three numbers."""
    return wp.vec3(*(float(v) for v in values))


def mat(values: np.ndarray) -> wp.mat33:
    """Of (3, 3) numbers."""
    return wp.mat33(*(float(v) for v in values.ravel()))


def run(kernel: wp.Kernel, count: int, *inputs: object) -> None:
    """Once for each number below `count`: compiled at first use, and kept in warp's cache."""
    if count:
        wp.launch(kernel, dim=count, inputs=list(inputs), device="cpu")
