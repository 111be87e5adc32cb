"""Running builds as a user sees them: one dataset, or one for each source of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines import show
from pipelines.build import Where, build, plan_build
from pipelines.recipe import Recipe
from pipelines.recipe_file import SourceEntry
from preprocess.errors import InputError
from shards.files.storage import Store
from shards.mix import MIX, write_mix

__all__ = ["Options", "run_mixture", "run_one"]


@dataclass(frozen=True)
class Options:
    """How a build goes about it."""

    retry_quarantined: bool = False
    dry_run: bool = False


def run_one(recipe: Recipe, where: Where, options: Options) -> int:
    """Plan, build and show one dataset; the number of clips and files that could not be used."""
    with show.listing() as on_file:
        plan = plan_build(recipe, where.source, on_file)
    show.plan(plan)
    if options.dry_run:
        show.cost(plan, where)
        return 0
    with show.Progress() as reporter:
        summary = build(plan, where, reporter, retry_quarantined=options.retry_quarantined)
    show.summary(plan, summary, where.out)
    return len(summary.quarantined) + len(plan.unreadable)


def run_mixture(
    entries: Sequence[SourceEntry],
    given: Sequence[str],
    folder: Path,
    where: Where,
    options: Options,
) -> int:
    """A dataset for each source in OUT/{name}, then OUT/mix.json with their weights.

    `given` are NAME=PATH of the command line; the entries' own paths are relative to `folder`.
    Returns the number of clips and files that could not be used, over all sources.
    Raises InputError for sources without a path, before anything is built.
    """
    paths = _paths(entries, given, folder)
    store = Store.at(where.out)
    if store.size("dataset.json") is not None:
        raise InputError(f"{store.url()} holds one dataset: choose another --out for a mixture")
    failed = 0
    for entry in entries:
        show.heading(entry.name, entry.weight / sum(e.weight for e in entries))
        place = replace(where, source=paths[entry.name], out=store.url(entry.name))
        failed += run_one(entry.recipe, place, options)
    if not options.dry_run:
        write_mix(store, {entry.name: entry.weight for entry in entries})
        show.mixed(store.url(MIX))
    return failed


def _paths(entries: Sequence[SourceEntry], given: Sequence[str], folder: Path) -> dict[str, Path]:
    paths = {e.name: folder / Path(e.path).expanduser() for e in entries if e.path is not None}
    names = [entry.name for entry in entries]
    mistakes = []
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name not in names or not path:
            mistakes.append(f"--source {text} is not NAME=PATH with one of {', '.join(names)}")
        paths[name] = Path(path).expanduser()
    if missing := [name for name in names if name not in paths]:
        options = " ".join(f"--source {name}=PATH" for name in missing)
        mistakes.append(
            f"no path for {', '.join(missing)}: give {options}, or leave them out of "
            "a copy of the recipe"
        )
    mistakes += [
        f"{name}: {paths[name]} does not exist"
        for name in names
        if name in paths and not paths[name].exists()
    ]
    if mistakes:
        raise InputError("\n  ".join(["the sources cannot be used:", *mistakes]))
    return paths
