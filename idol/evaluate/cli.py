"""`idol-eval`: numbers for generated videos and their depth.

Only tyro is imported here, so that --help answers at once; each command imports what it needs.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg
from tyro.extras import SubcommandApp

from idol.config.checks import ConfigError
from idol.config.evaluate import SAMPLES, SEED, EvaluateRunConfig, ScoreConfig
from idol.errors import IdolError
from shards.command import ALSO, run
from shards.environment import limit_threads
from shards.errors import ShardsError
from shards.heap import made_to_stay

__all__ = ["main"]

_Json = Annotated[bool, arg(help="Print JSON for machines.")]

_app = SubcommandApp()


@_app.command
def protocols(
    name: Annotated[
        Positional[str], arg(metavar="[NAME]", help="Print what this one says; without it, a list.")
    ] = "",
    json: _Json = False,
) -> int:
    """List the protocols: all that a number depends on besides the frames."""
    from idol.evaluate.report import print_protocols

    print_protocols(name, as_json=json)
    return 0


@_app.command
def score(config: OmitArgPrefixes[ScoreConfig]) -> int:
    """Measure generated clips against the true ones, by a named protocol."""
    with made_to_stay():
        from idol.evaluate.progress import progress
        from idol.evaluate.report import print_scores, write_scores
        from idol.evaluate.score import score

    with progress() as told:
        result = score(config, partial(told, "scored"))
    write_scores(result, config.out)
    print_scores(result)
    return 0


@_app.command(name="run")
def generate_and_score(config: OmitArgPrefixes[EvaluateRunConfig]) -> int:
    """Generate the clips of a validation split with a model, then score them; resumable."""
    with made_to_stay():
        from idol.evaluate.progress import progress
        from idol.evaluate.report import print_scores, write_scores
        from idol.evaluate.run import run

    with progress() as told:
        result = run(config, partial(told, "generated"), partial(told, "scored"))
    if result is not None:
        write_scores(result, config.out)
        print_scores(result)
    return 0


@_app.command
def compare(
    results: Annotated[
        Positional[tuple[Path, ...]],
        arg(
            metavar="RESULT",
            help="Folders of results, or their scores.json; the first is that "
            "against which the others are set.",
        ),
    ],
    paper: Annotated[
        str,
        arg(metavar="TABLE", help="Set them beside this table of the paper's: tab1, tab2 …"),
    ] = "",
    samples: Annotated[int, arg(help="Bootstrap samples of videos.")] = 1000,
    seed: Annotated[int, arg(help="Of the bootstrap.")] = 0,
    json: _Json = False,
) -> int:
    """Set results of one protocol side by side, with paired differences and their intervals."""
    for option, value, allowed in (("samples", samples, SAMPLES), ("seed", seed, SEED)):
        if value not in allowed:
            raise ConfigError(f"--{option} must be {allowed}, not {value}")
    from idol.evaluate.compare import compare, read_result
    from idol.evaluate.compare_report import print_comparison, print_paper

    read = [read_result(path) for path in results]
    if paper:
        print_paper(paper, read, as_json=json)
    else:
        print_comparison(compare(read, samples=samples, seed=seed), as_json=json)
    return 0


@_app.command
def watermark(
    files: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="FILE ...", help="Videos and images, or folders of them."),
    ],
    json: _Json = False,
) -> int:
    """Look for the mark that generated videos carry; the exit code is 1 if any file has none."""
    from idol.evaluate.watermark import print_watermarks

    if not files:
        raise ConfigError("give the videos and images to look at, or folders of them")
    return 0 if print_watermarks(files, as_json=json) else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-eval`; the exit code: 0, or as `shards.command` says."""
    return run(
        "idol-eval",
        _command,
        argv,
        errors=(IdolError, ShardsError, OSError, ValueError),
        interrupted="stopped. Run the same command to resume.",
    )


def _command(arguments: Sequence[str]) -> int:
    limit_threads()
    code: int = _app.cli(
        prog="idol-eval",
        description="Numbers for generated videos and their depth." + ALSO,
        args=arguments,
        config=(FlagCreatePairsOff,),
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
