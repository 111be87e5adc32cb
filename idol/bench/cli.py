"""The command `idol-bench`: parsing only, so that `--help` answers at once."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Literal

import tyro

from idol.config.model import PresetName
from idol.errors import IdolError
from shards.command import run

__all__ = ["Model", "main"]


@dataclasses.dataclass(frozen=True)
class Model:
    """Parameters, FLOPs, time and memory of the model, for each training stage.

    Attributes:
        presets: presets to count, on the meta device; this needs no memory.
        time: presets to run forward and backward; add sd14 on a machine with 40 GB or more of
            memory (float32 weights and gradients alone are 11 GB).
        size: latent height and width; the default is the preset's own (256 pixels for sd14).
        frames: frames of a clip in the video stage.
        device: where to run; "auto" takes a GPU if there is one.
        threads: of a CPU; torch's own choice when absent.
        dtype: of weights and activations in timed runs.
        checkpoint: recompute layers in backward.
        channels_last: keep images channels-last.
        compile: run repeated blocks through torch.compile.
    """

    presets: tuple[PresetName, ...] = ("sd14", "tiny")
    time: tuple[PresetName, ...] = ("tiny",)
    size: int | None = None
    frames: int = 8
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpoint: bool = False
    channels_last: bool = False
    compile: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-bench`; the exit code: 0, or as `shards.command` says."""
    return run("idol-bench", _command, argv, errors=(IdolError, OSError, ValueError))


def _command(arguments: Sequence[str]) -> int:
    options: Model = tyro.extras.subcommand_cli_from_dict(
        {"model": Model},
        prog="idol-bench",
        description="What the model costs: parameters, FLOPs, time and memory.",
        args=arguments,
    )
    # The profiler that sees memory would write its own diary over the tables.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    from idol.bench.report import print_report

    print_report(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
