"""`idol-prep`: turn human videos into shards, and fetch what that needs."""

import json as json_
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro
from tyro.extras import SubcommandApp

from idol.data.encode_cli import encode
from idol.errors import IdolError
from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.recipe_cli import recipe_app
from pipelines.recipe_file import RecipeFile, load_recipe
from pipelines.weights_cli import weights_app
from preprocess.errors import InputError
from preprocess.remote import RemotePath, located
from shards.command import ALSO, run
from shards.errors import ShardsError
from shards.options import Given, options_of, replaced

if TYPE_CHECKING:
    from pipelines.metrics import Metrics
    from pipelines.status import Status
    from shards.manifest import Quarantined

__all__ = ["main"]

EXIT_QUARANTINED = 1
EXIT_DOES_NOT_ADD_UP = 1

_UNMIXED = (
    "there is no mix.json: of a mixture not all sources are built, so run the build's command "
    "again first; of separate datasets name one"
)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
_Sources = Annotated[
    tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="PATH|NAME=PATH")
]
_Settings = Annotated[
    Given, tyro.conf.OmitArgPrefixes, tyro.conf.arg(constructor=options_of(Recipe))
]
_Compute = Annotated[
    Given, tyro.conf.OmitArgPrefixes, tyro.conf.arg(constructor=options_of(Compute))
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-prep`; the exit code: 0, 1 (too much quarantined), or as `shards.command` says."""
    return run(
        "idol-prep",
        _command,
        argv,
        errors=(InputError, IdolError, ShardsError, OSError),
        interrupted="stopped. Finished work is kept. Run the same command to resume.",
    )


def _command(arguments: Sequence[str]) -> int:
    app = SubcommandApp()
    app.command(build)
    app.command(encode)
    app.command(retry)
    app.command(status)
    app.command(recipe_app, name="recipe", help="List, show and compare recipes.")
    app.command(weights_app, name="weights", help="List, fetch and check external files.")
    code: int = app.cli(
        prog="idol-prep",
        description="Turn human videos into shards with masks, skeletons and depth." + ALSO,
        args=arguments,
        config=(tyro.conf.DisallowNone,),
    )
    return code


def build(
    out: str,
    settings: _Settings,
    compute: _Compute,
    source: _Sources = (),
    recipe: str | None = None,
    weights: Path | None = None,
    max_quarantine: int = 0,
    extend: _Flag = False,
    metrics: Annotated[str | None, tyro.conf.arg(metavar="PORT|FILE")] = None,
    dry_run: _Flag = False,
) -> int:
    """Build a dataset of annotated clips; run the same command to resume.

    Args:
        settings: What to make of the source.
        compute: What to run on.
        recipe: Name or path of a recipe file, whose settings take the place of the defaults that
            are shown here; `paper` is that of the dataset. `idol-prep recipe show` prints one.
        source: Folder or URL (s3://...) of the dataset, in its published layout; for a recipe of
            several sources NAME=PATH for each.
        out: Folder or URL (s3://...) of the shards; new, empty, or of the same recipe.
        weights: Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache.
        max_quarantine: Exit with 1 if more than this many clips and files could not be used.
        extend: Add the videos that are new in the source: the shards that are there stay as they
            are, and so does who is held out.
        metrics: Tell how far the build is in Prometheus' text format: at 127.0.0.1:PORT/metrics, or
            in a FILE (.prom) for node-exporter's textfile collector.
        dry_run: Print the plan and what it will cost, and stop.
    """
    if max_quarantine < 0:
        raise InputError(f"--max-quarantine must be 0 or more, not {max_quarantine}")
    file = load_recipe(recipe, settings.get("dataset")) if recipe else RecipeFile("")
    from pipelines.metrics import exported

    with exported(metrics if not dry_run else None) as numbers:
        on = replaced(file.compute, compute)
        check = partial(_check, compute=on, weights=weights, dry_run=dry_run)
        make = partial(
            _make,
            metrics=numbers,
            compute=on,
            weights=weights,
            again=None,
            extend=extend,
            dry_run=dry_run,
        )
        if file.sources:
            failed = _make_mixture(file, settings, source, out, check, make, dry_run=dry_run)
        else:
            recipe_here, place = _single(file, settings, source)
            check(recipe_here, place, out)
            failed = make(recipe_here, place, out)
    if failed > max_quarantine:
        from pipelines import show

        show.too_many(failed, max_quarantine)
        return EXIT_QUARANTINED
    return 0


def retry(
    out: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OUT")],
    compute: _Compute,
    reason: str | None = None,
    source: _Sources = (),
    densepose: str | None = None,
    weights: Path | None = None,
) -> int:
    """Try quarantined clips again, those alone, and commit their shards anew.

    The dataset then has the bytes that it would have had without the failures. Exit code 1 when
    some of the clips failed again.

    Args:
        out: Folder or URL (s3://...) of a dataset, or of a mixture, that is built.
        compute: What to run on. Default: as when it was built.
        reason: Those clips alone whose reason is of this kind (clip, error, memory, timeout,
            killed) or, where it is no kind, holds this text.
        source: Folder or URL of the dataset's source, where another built it or it was moved; of
            a mixture NAME=PATH for each.
        densepose: The folder or program that `build --densepose` was given, likewise.
        weights: Folder of external files. Default: as when it was built.
    """
    from pipelines.metrics import Metrics
    from pipelines.retry import Remembered, matcher, recall
    from pipelines.status import lacks_mix, statuses
    from shards.dataset import read_info
    from shards.files.storage import Store

    again = matcher(reason)
    found = statuses(out)
    for each in found:
        if each.state == "building":
            raise InputError(f"{each.out}: a build is at work here: wait until it has ended")
        if each.remaining:
            raise InputError(
                f"{each.out}: {each.remaining} clips are not made yet: run the build's command "
                "again first"
            )
    if lacks_mix(out):
        raise InputError(f"{out}: {_UNMIXED}")
    if reason is not None and not any(again(clip) for s in found for clip in s.clips_quarantined):
        there = ", ".join(sorted({kind for s in found for kind in s.kinds})) or "none at all"
        raise InputError(
            f"--reason {reason}: no quarantined clip has it (kinds that are there: {there}): "
            f"`idol-prep status {out}` shows all reasons"
        )
    wanted = [each for each in found if any(map(again, each.clips_quarantined))]
    if densepose is not None and len(wanted) > 1:
        raise InputError(f"--densepose is of one dataset: {_one_of(out, wanted)}")
    alone = found[0].out == Store.at(out).url()
    moved = _moved(out, [] if alone else found, wanted or found, source)

    def remembered(each: "Status") -> Remembered:
        store = Store.at(each.out)
        info = read_info(store)
        assert info is not None  # it is complete
        name = "" if alone else f"{_name(each)}="
        return recall(store, info, moved.get(each.out), densepose, name)

    what = f"datasets of {out} cannot be tried again:"
    built = _each(what, {_name(each): partial(remembered, each) for each in wanted})
    jobs: dict[str, tuple[tuple[Recipe, Path, str], dict[str, Any]]] = {
        _name(each): (
            (one.recipe, located(one.source), each.out),
            {
                "compute": replaced(one.compute, compute),
                "weights": weights or (one.weights and Path(one.weights)) or None,
                "dry_run": False,
            },
        )
        for each, one in zip(wanted, built, strict=True)
    }
    _each(what, {name: partial(_check, *job, **options) for name, (job, options) in jobs.items()})
    for job, options in jobs.values():
        _make(*job, **options, again=again, extend=False, metrics=Metrics())
    if not any(s.clips_quarantined for s in found):
        _log.warning(f"{out}: no clip is quarantined: there is nothing to try again")
    still = [clip for s in statuses(out) for clip in s.clips_quarantined if again(clip)]
    return EXIT_QUARANTINED if still else 0


def status(
    out: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OUT")],
    json: _Flag = False,
) -> int:
    """Say how far a build is and who builds, from its files, while it runs or after it died.

    Exit code 1 when planned clips are not committed and quarantined ones together and no build is
    at work, or when a mixture lacks its mix.json.

    Args:
        out: Folder or URL (s3://...) of a dataset or a mixture.
        json: Print JSON for machines.
    """
    from pipelines.status import lacks_mix, statuses

    found = statuses(out)
    at_work = any(each.state == "building" for each in found)
    unmixed = not at_work and lacks_mix(out)
    if json:
        plain = [asdict(each) for each in found]
        print(json_.dumps(plain[0] if len(plain) == 1 else plain, indent=1))
    else:
        from pipelines.show_status import show_status

        for each in found:
            show_status(each)
    if unmixed:
        _log.warning(f"{out}: {_UNMIXED}")
    whole = all(each.adds_up for each in found) and not unmixed
    return 0 if whole else EXIT_DOES_NOT_ADD_UP


def _check(
    recipe: Recipe,
    source: Path,
    out: str,
    *,
    compute: Compute,
    weights: Path | None,
    dry_run: bool,
) -> None:
    """Find what would stop `_make`, as far as the source need not be read for it."""
    from pipelines.build import check_out

    check_out(recipe, source, out, compute, weights, dry_run=dry_run)


def _each(what: str, checks: Mapping[str, Callable[[], _T]]) -> list[_T]:
    """What each of the checks gives, by the name of what is checked.

    Raises InputError with what is wrong with any of them, under their names where there are
    several.
    """
    given: list[_T] = []
    mistakes: list[str] = []
    for name, check in checks.items():
        try:
            given.append(check())
        except (InputError, ShardsError) as error:
            if len(checks) == 1:
                raise
            mistakes.append(f"{name}: {error}".replace("\n", "\n    "))
    if mistakes:
        raise InputError("\n  ".join([what, *mistakes]))
    return given


def _make(
    recipe: Recipe,
    source: Path,
    out: str,
    *,
    compute: Compute,
    weights: Path | None,
    again: Callable[["Quarantined"], bool] | None,
    extend: bool,
    metrics: "Metrics",
    dry_run: bool,
) -> int:
    """Plan, build and show one dataset; the number of clips and files that could not be used."""
    from pipelines import show
    from pipelines.build import build as build_dataset
    from pipelines.build import plan_build
    from pipelines.notices import unused
    from pipelines.reporter import Several

    if compute.address is None and (address := os.environ.get("RAY_ADDRESS")):
        _log.warning("RAY_ADDRESS=%s is ignored: --address joins a cluster", address)
    for line in unused(recipe, compute):
        _log.warning(line)
    with show.Listing() as listing:
        plan = plan_build(
            recipe,
            source,
            listing.file,
            processes=compute.scan_processes(),
            address=compute.address,
            on_frames=listing.frames,
            out=out,
            extend=extend,
            retry=again is not None,
        )
    show.plan(plan)
    if dry_run:
        show.cost(plan, compute, weights)
        return 0
    with show.Progress() as progress:
        summary = build_dataset(
            plan,
            out,
            Several(progress, metrics.of(out)),
            compute=compute,
            weights=weights,
            retry=again,
        )
    show.summary(plan, summary, out)
    return len(summary.quarantined) + len(plan.unreadable)


def _name(status: "Status") -> str:
    """Of a dataset in a mixture."""
    return status.out.rpartition("/")[2]


def _one_of(out: str, wanted: Sequence["Status"]) -> str:
    each = " and ".join(f"`idol-prep retry {out.rstrip('/')}/{_name(one)}`" for one in wanted)
    return f"try one at a time ({each})"


def _moved(
    out: str, parts: Sequence["Status"], wanted: Sequence["Status"], given: Sequence[str]
) -> dict[str, str]:
    """Where the sources of datasets lie, by these datasets' places, as `given`: NAME=PATH of a
    mixture's `parts`, and PATH where one alone is `wanted`.

    Raises InputError for a PATH that could be that of several.
    """
    places = {_name(part): part.out for part in parts}
    moved: dict[str, str] = {}
    mistakes = []
    for text in given:
        name, _, path = text.partition("=")
        if name in places:
            place = places[name]
        elif len(wanted) == 1:
            place, path = wanted[0].out, text
        else:
            names = ", ".join(places)
            mistakes.append(
                f"--source {text} is not NAME=PATH with one of {names}: say whose it is, or "
                f"{_one_of(out, wanted)}"
            )
            continue
        if place in moved:
            mistakes.append(f"--source {text}: its path was given before: give each once")
        if not path:
            mistakes.append(f"--source {text} names no folder (`.` is this folder)")
        elif not located(path).exists():
            mistakes.append(f"--source {text}: {path} does not exist")
        moved[place] = path
    if mistakes:
        raise InputError("\n  ".join(["the sources cannot be used:", *mistakes]))
    return moved


def _single(file: RecipeFile, settings: Given, source: Sequence[str]) -> tuple[Recipe, Path]:
    """The recipe of a single dataset, and where its source lies."""
    fields = {**file.settings, **settings}
    if "dataset" not in fields:
        raise InputError("--dataset is missing: give it, or a --recipe that says which")
    if len(source) != 1:
        fault = f"was given {len(source)} times: give one" if source else "is missing: give it"
        raise InputError(f"--source {fault}, the folder of the dataset")
    if not source[0]:
        raise InputError("--source is empty: give the folder of the dataset (`.` is this folder)")
    return Recipe(**fields), located(source[0])


def _make_mixture(
    file: RecipeFile,
    settings: Given,
    source: Sequence[str],
    out: str,
    check: Callable[[Recipe, Path, str], None],
    make: Callable[[Recipe, Path, str], int],
    *,
    dry_run: bool,
) -> int:
    """A dataset for each source in OUT/{name}, then OUT/mix.json with their weights.

    Returns the number of clips and files that could not be used, over all sources.
    Raises InputError for sources without a path, and for what `check` finds of any of them, before
    anything is built.
    """
    from pipelines import show
    from shards.files.storage import Store
    from shards.mix import MIX, write_mix

    if "dataset" in settings:
        raise InputError(f"--dataset: each source of {file.title} has its own")
    if "densepose" in settings:
        raise InputError("--densepose is for one source: build those that want it alone")
    paths = _paths(file, source)
    store = Store.at(out)
    if store.size("dataset.json") is not None:
        raise InputError(f"{store.url()} holds one dataset: choose another --out for a mixture")
    recipes = [replace(entry.recipe, **settings) for entry in file.sources]
    jobs = {
        entry.name: (recipe, paths[entry.name], store.url(entry.name))
        for entry, recipe in zip(file.sources, recipes, strict=True)
    }
    _each(
        f"sources of {file.title} cannot be built:",
        {name: partial(check, *job) for name, job in jobs.items()},
    )
    total = sum(entry.weight for entry in file.sources)
    failed = 0
    for entry in file.sources:
        show.heading(entry.name, entry.weight / total)
        failed += make(*jobs[entry.name])
    if not dry_run:
        write_mix(store, {entry.name: entry.weight for entry in file.sources})
        show.mixed(store.url(MIX))
    return failed


def _beside(folder: Path, path: str) -> Path:
    """A path of a recipe file, relative to the file's folder unless it says itself where it is."""
    place = located(path)
    return place if place.is_absolute() or isinstance(place, RemotePath) else folder / place


def _paths(file: RecipeFile, given: Sequence[str]) -> dict[str, Path]:
    """Where each source lies: NAME=PATH of the command line, else as its entry says."""
    paths = {e.name: _beside(file.folder, e.path) for e in file.sources if e.path is not None}
    names = [entry.name for entry in file.sources]
    mistakes = []
    told = set()
    for text in given:
        name, equals, path = text.partition("=")
        if name in told:
            mistakes.append(f"--source {text}: {name} was given before: give each name once")
        told.add(name)
        if not equals or name not in names or not path:
            mistakes.append(f"--source {text} is not NAME=PATH with one of {', '.join(names)}")
        paths[name] = located(path)
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


if __name__ == "__main__":
    sys.exit(main())
