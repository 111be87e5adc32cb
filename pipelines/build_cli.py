"""`idol-prep build`: its options, with those of a recipe file as their defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.recipe_file import RecipeFile, load_recipe
from preprocess.errors import InputError

__all__ = ["build_command", "preset_of"]

EXIT_QUARANTINED = 1

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Sources = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=PATH")]


def preset_of(arguments: Sequence[str]) -> RecipeFile:
    """The recipe that the command line names: read first, since it decides the other defaults.

    Raises InputError for one that is not there or has mistakes.
    """
    if not arguments or arguments[0] != "build":
        return RecipeFile("")
    name = _option(arguments, "recipe")
    return load_recipe(name, _option(arguments, "dataset")) if name else RecipeFile("")


def _option(arguments: Sequence[str], name: str) -> str | None:
    found = None
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word == f"--{name}":
            found = following
        elif word.startswith(f"--{name}="):
            found = word.partition("=")[2]
    return found or None


def build_command(preset: RecipeFile, arguments: Sequence[str]) -> Callable[..., int]:
    """The command, whose defaults are the preset's."""
    # Which dataset is part of no default but a recipe's; each of several sources has its own.
    dataset = preset.sources[0].recipe.dataset if preset.sources else tyro.MISSING
    defaults = Recipe(**{"dataset": dataset, **preset.settings})

    def build(
        out: str,
        settings: tyro.conf.OmitArgPrefixes[Recipe] = defaults,
        compute: tyro.conf.OmitArgPrefixes[Compute] = preset.compute,
        source: Any = () if preset.sources else tyro.MISSING,
        recipe: str | None = None,
        workers: int | None = None,
        address: str | None = None,
        weights: Path | None = None,
        max_quarantine: int = 0,
        retry_quarantined: Flag = False,
        dry_run: Flag = False,
    ) -> int:
        """Build a dataset of annotated clips; run again, it goes on where it was stopped.

        Args:
            settings: What to make of the source.
            compute: What to run on.
            recipe: Name or path of a recipe file, whose settings take the place of the defaults;
                `paper` is that of the dataset.
            source: Folder of the dataset, in its published layout; for a recipe of several
                sources NAME=PATH for each.
            out: Folder or URL (s3://...) of the shards; new, empty, or of the same recipe.
            workers: Ray workers; 0 works in this process without Ray. Default: one a core, or
                as many as GPUs and memory hold.
            address: Address of a running Ray cluster to join.
            weights: Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache.
            max_quarantine: Exit with 1 if more than this many clips and files could not be used.
            retry_quarantined: Make shards anew that hold quarantined clips.
            dry_run: Print the plan and what it will cost, and stop.
        """
        from pipelines.build import Where
        from pipelines.run import Options, run_mixture, run_one

        if workers is not None and workers < 0:
            raise InputError(f"--workers must be 0 or more, not {workers}")
        if max_quarantine < 0:
            raise InputError(f"--max-quarantine must be 0 or more, not {max_quarantine}")
        options = Options(retry_quarantined, dry_run)
        where = Where(Path(), out, workers, address, weights, compute)
        if preset.sources:
            given = _given(arguments)
            if "dataset" in given:
                raise InputError(f"--dataset: each source of {preset.title} has its own")
            changes = {name: getattr(settings, name) for name in given}
            if "densepose" in given:
                raise InputError("--densepose is for one source: build those that want it alone")
            entries = [replace(e, recipe=replace(e.recipe, **changes)) for e in preset.sources]
            failed = run_mixture(entries, source, preset.folder, where, options)
        else:
            failed = run_one(settings, replace(where, source=source), options)
        if failed > max_quarantine:
            from pipelines import show

            show.too_many(failed, max_quarantine)
            return EXIT_QUARANTINED
        return 0

    # The sources of a mixture may have their paths in the file; one alone has none there.
    build.__annotations__["source"] = Sources if preset.sources else Path
    return build


def _given(arguments: Sequence[str]) -> set[str]:
    """The recipe's fields that the command line sets itself."""
    words = {word.partition("=")[0].replace("_", "-") for word in arguments}
    return {
        field.name
        for field in fields(Recipe)
        if words & {f"--{field.name}".replace("_", "-"), f"--no-{field.name}".replace("_", "-")}
    }
