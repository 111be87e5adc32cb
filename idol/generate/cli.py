"""The command `idol-generate`: parsing only, so that `--help` answers at once."""

import sys
from collections.abc import Sequence
from typing import Any, get_type_hints

import tyro

from idol.config.generate import GenerateConfig
from idol.errors import IdolError
from idol.generate.inputs.files import check_given
from idol.generate.inputs.options import (
    Annotation,
    annotation,
    annotator_options,
    check_used,
)
from shards.command import ALSO, run
from shards.environment import limit_threads
from shards.errors import ShardsError
from shards.heap import keep_freed_memory, made_to_stay
from shards.options import Given, options_of, section

__all__ = ["main", "parse"]

_REQUIRED = ("photo", "out")


def parse(arguments: Sequence[str]) -> tuple[GenerateConfig, Annotation]:
    """Raises ConfigError for options that contradict each other, or of annotators that have nothing
    to look at; SystemExit for --help or what is no command line of ours."""
    own = options_of(GenerateConfig, required=_REQUIRED)
    fields: dict[str, Any] = get_type_hints(own, include_extras=True)
    kind = section("Options", {**fields, **annotator_options()})
    given: Given = tyro.cli(
        kind,
        prog="idol-generate",
        description="From one photo and a motion to a video with depth. Run the same command to "
        "resume." + ALSO,
        args=list(arguments),
        config=(tyro.conf.DisallowNone,),
    )
    config = GenerateConfig(**{name: given[name] for name in fields if name in given})
    annotators = annotation({name: v for name, v in given.items() if name not in fields})
    check_used(config, annotators)
    return config, annotators


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-generate`; the exit code: 0, or as `shards.command` says."""
    return run(
        "idol-generate",
        _command,
        argv,
        errors=(IdolError, ShardsError, OSError, ValueError),
        interrupted="stopped. Run the same command to resume.",
    )


def _command(arguments: Sequence[str]) -> int:
    config, annotators = parse(arguments)
    check_given(config)  # before seconds of imports
    limit_threads()
    keep_freed_memory()
    with made_to_stay():
        from idol.generate.progress import Bars
        from idol.generate.run import generate

    with Bars() as bars:
        made = generate(config, annotators, bars)
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
