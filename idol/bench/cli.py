"""The command `idol-bench`: parsing only, so that `--help` answers at once."""

import os
import sys
from collections.abc import Sequence

import tyro

from idol.config.bench import AnnotatorBenchConfig, ModelBenchConfig
from idol.config.claims import ClaimsConfig
from idol.config.figures import FiguresConfig
from idol.errors import IdolError
from preprocess.errors import InputError
from shards.command import ALSO, run
from shards.environment import limit_threads
from shards.errors import ShardsError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-bench`; the exit code: 0, or as `shards.command` says."""
    return run(
        "idol-bench",
        _command,
        argv,
        errors=(IdolError, InputError, ShardsError, OSError, ValueError),
        interrupted="stopped. Claims go on where they were by the same command.",
    )


def _command(arguments: Sequence[str]) -> int:
    options: ModelBenchConfig | AnnotatorBenchConfig | ClaimsConfig | FiguresConfig = (
        tyro.extras.subcommand_cli_from_dict(
            {
                "model": ModelBenchConfig,
                "annotators": AnnotatorBenchConfig,
                "claims": ClaimsConfig,
                "figures": FiguresConfig,
            },
            prog="idol-bench",
            description="What the model costs (parameters, FLOPs, time, memory), and how far "
            "annotators are from the truth; the paper's claims as experiments, and their figures."
            + ALSO,
            args=arguments,
        )
    )
    # The profiler that sees memory would write its own diary over the tables.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    limit_threads()
    if isinstance(options, AnnotatorBenchConfig):
        from idol.bench.annotators import report as annotators

        annotators.print_report(options)
    elif isinstance(options, ClaimsConfig):
        from idol.bench.claims import report as claims

        claims.made(options)
        print(options.out / "claims.md")
    elif isinstance(options, FiguresConfig):
        from idol.bench.figures.draw import drawn

        for name, said in drawn(options).items():
            if isinstance(said, dict):
                there = options.out / f"{name}.png"
                print(f"{name}: not drawn, for {said['why']}" if "why" in said else there)
    else:
        from idol.bench import report as model

        model.print_report(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
