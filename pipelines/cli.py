"""`idol-prep`: turn human videos into shards, and fetch what that needs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.extras import SubcommandApp

from pipelines.encode_cli import encode
from pipelines.recipe import Recipe
from pipelines.weights_cli import weights_app
from preprocess.errors import InputError
from shards.errors import ShardsError

__all__ = ["main"]

app = SubcommandApp()
app.command(encode)
app.command(weights_app, name="weights", help="List, fetch and check external files.")

EXIT_QUARANTINED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@app.command
def build(
    recipe: tyro.conf.OmitArgPrefixes[Recipe],
    source: Path,
    out: str,
    workers: int | None = None,
    address: str | None = None,
    weights: Path | None = None,
    max_quarantine: int = 0,
    retry_quarantined: Flag = False,
    dry_run: Flag = False,
) -> int:
    """Build a dataset of annotated clips; run again, it goes on where it was stopped.

    Args:
        recipe: What to make of the source.
        source: Folder of the dataset, in its published layout.
        out: Folder or URL (s3://...) of the shards; new, empty, or of the same recipe.
        workers: Ray workers; 0 works in this process without Ray. Default: one a core.
        address: Address of a running Ray cluster to join.
        weights: Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache.
        max_quarantine: Exit with 1 if more than this many clips and files could not be used.
        retry_quarantined: Make shards anew that hold quarantined clips.
        dry_run: Print the plan and what it will cost, and stop.
    """
    from pipelines import show
    from pipelines.build import Where, plan_build
    from pipelines.build import build as run_build

    if workers is not None and workers < 0:
        raise InputError(f"--workers must be 0 or more, not {workers}")
    if max_quarantine < 0:
        raise InputError(f"--max-quarantine must be 0 or more, not {max_quarantine}")
    if workers is None:
        workers = os.cpu_count() or 1
    where = Where(source, out, workers, address, weights)
    with show.listing() as on_file:
        plan = plan_build(recipe, source, on_file)
    show.plan(plan)
    if dry_run:
        show.cost(plan, where)
        return 0
    with show.Progress() as reporter:
        summary = run_build(plan, where, reporter, retry_quarantined=retry_quarantined)
    show.summary(plan, summary, out)
    failed = len(summary.quarantined) + len(plan.unreadable)
    if failed > max_quarantine:
        show.too_many(failed, max_quarantine)
        return EXIT_QUARANTINED
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-prep`; the exit code: 0, 1 (too much quarantined), 2 (bad input), 130 (stopped)."""
    # Schedulers stop jobs by SIGTERM: leave as orderly as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code: int = app.cli(
            prog="idol-prep",
            description="Turn human videos into shards with masks, skeletons and depth.",
            args=argv,
            config=(tyro.conf.DisallowNone,),
        )
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print(
            "idol-prep: stopped. Committed shards are kept; the same command goes on from there.",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone: leave, and let Python's own flush at exit find nothing wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except (InputError, ShardsError, OSError) as error:
        print(f"idol-prep: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
