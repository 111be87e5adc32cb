"""The command `idol-train`: parsing only, so that `--help` answers at once."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, get_args

import tyro

from idol.config.checks import ConfigError
from idol.config.file import laid_over, read_settings
from idol.config.model import DualModalUNetConfig, PresetName, StageName
from idol.config.presets import defaults
from idol.config.train import TrainConfig
from idol.errors import IdolError
from idol.train.stopping import DivergedError, InterruptedRun
from idol.variants import variant_called
from shards.command import ALSO, INTERRUPTED, run, say
from shards.environment import limit_threads
from shards.errors import ShardsError
from shards.files.home import expanded
from shards.heap import keep_freed_memory, made_to_stay
from shards.options import Given, options_of, replaced, shown

__all__ = ["main", "parse", "run_config"]

EXIT_DIVERGED = 1

_REQUIRED = ("stage", "shards", "output")
_ConfigFile = Annotated[
    Path,
    tyro.conf.arg(
        help="File of settings, such as the config.json of another run; what is given here as well "
        "goes before it."
    ),
]


def parse(argv: Sequence[str] | None = None) -> TrainConfig:
    """The configuration of a command line: what is given, and else the stage's and preset's.

    Raises:
        ConfigError: settings that contradict each other.
        SystemExit: it is no command line of ours, or asks for help.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with_file = any(a == "--config" or a.startswith("--config=") for a in arguments)
    given: Given = tyro.cli(
        options_of(
            TrainConfig,
            required=() if with_file else _REQUIRED,
            default_of=_default_of,
            more={"config": _ConfigFile},
        ),
        prog="idol-train",
        description="Train a stage of IDOL on shards. Run the same command to resume." + ALSO,
        args=arguments,
        config=(tyro.conf.DisallowNone,),
    )
    division = {"accumulation", "clips_per_step"} & given.get("run", {}).keys()
    if len(division) > 1:
        raise ConfigError("--clips-per-step says what --accumulation is: leave one of them out")
    if path := given.pop("config", None):
        below = read_settings(path)
        for name in {"accumulation", "clips_per_step"} if division else ():
            below.get("run", {}).pop(name, None)  # what is given decides both
        given = laid_over(given, below)
        absent = [f"--{name}" for name in _REQUIRED if name not in given]
        if absent:
            raise ConfigError(f"--config {path} leaves out {', '.join(absent)}: give them as well")
    # The shell expands few of them, and nothing those of a file.
    given |= {name: expanded(value) for name, value in given.items() if isinstance(value, Path)}
    variant = given.get("variant", TrainConfig.variant)
    start = defaults(
        given["stage"],
        given.get("preset", TrainConfig.preset),
        shards=given["shards"],
        output=given["output"],
        model=_settings_of(given["output"], given.get("init_from"), given.get("base"), variant),
        vae=given.get("vae"),
        patch=given.get("patch"),
    )
    run = given.get("run", {})
    if "accumulation" in run and "clips_per_step" not in run:  # the preset's own would say another
        run["clips_per_step"] = None
        run.setdefault("batch_size", start.clips_in_pass)
    settings = variant_called(variant).settings(given["stage"])
    if settings["model"].get("pose_control") == "t2i_adapter":
        settings["model"]["pose_downscale"] = start.pixels_of_latent
    # Together, for what contradicts may do so in one of them alone.
    return replaced(start, laid_over(given, settings))


def _default_of(name: str) -> str:
    """The default of a setting as help shows it, in all stages of both presets."""
    if "." not in name:
        return shown(getattr(TrainConfig, name, None))
    part, field = name.split(".")
    values = {
        run: shown(getattr(getattr(config, part), field)) for run, config in _starts().items()
    }
    if not any(values.values()):
        return ""  # then the help's own words say what holds
    texts = {}
    for preset in get_args(PresetName):
        stages_of: dict[str, list[str]] = {}
        for stage in get_args(StageName):
            stages_of.setdefault(values[preset, stage] or "none", []).append(stage)
        each = [f"{value} in {' and '.join(stages)}" for value, stages in stages_of.items()]
        texts[preset] = ", ".join(stages_of if len(stages_of) == 1 else each)
    first, *others = get_args(PresetName)
    return texts[first] + "".join(
        f"; {other}: {texts[other]}" for other in others if texts[other] != texts[first]
    )


@cache
def _starts() -> dict[tuple[PresetName, StageName], TrainConfig]:
    return {
        (preset, stage): defaults(stage, preset, shards=["-"], output=Path("-"))
        for preset in get_args(PresetName)
        for stage in get_args(StageName)
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-train`; the exit code: 0, 1 (diverged), or as `shards.command` says."""
    return _run(lambda arguments: _train(parse(arguments)), argv)


def run_config(config: TrainConfig) -> int:
    """Train, and turn what stops it into one clear line and the exit code of `main`."""
    return _run(lambda _: _train(config), ())


def _run(command: Callable[[Sequence[str]], int], argv: Sequence[str] | None) -> int:
    return run(
        _name(),
        command,
        argv,
        errors=(IdolError, ShardsError, ValueError, OSError),
        interrupted="stopped. Run the same command to resume from the newest checkpoint.",
        log_level="info",
    )


def _train(config: TrainConfig) -> int:
    limit_threads()
    keep_freed_memory()
    with made_to_stay():
        from idol.train.train import train

    try:
        model = train(config)
    except InterruptedRun as stopped:
        say(_name(), f"{stopped}. Run the same command to resume.")
        return INTERRUPTED
    except DivergedError as error:
        say(_name(), str(error))
        return EXIT_DIVERGED
    if _rank() == "0":
        print(f"the model: {model}")
    return 0


def _settings_of(
    output: Path | None, init_from: Path | None, base: Path | None, variant: str
) -> DualModalUNetConfig | None:
    """Those of a run that resumes, for what it started from may be gone; else of its start."""
    if not (init_from or base):
        return None
    from idol.train.before import settings_before

    if output and init_from:
        from idol.checkpoint import Checkpoints
        from idol.train.resume import read_config

        begun = Checkpoints(output / "checkpoints").listed() or (output / "model").is_dir()
        if begun and (saved := read_config(output)):
            return DualModalUNetConfig.from_dict(saved["model"])
    return settings_before(init_from, base, variant)


def _name() -> str:
    return "idol-train" if _rank() == "0" else f"idol-train (process {_rank()})"


def _rank() -> str:
    return os.environ.get("RANK", "0")


if __name__ == "__main__":
    sys.exit(main())
