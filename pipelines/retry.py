"""Clips that failed, tried again: `idol-prep retry`.

The clips that a shard has are set aside as if a build had been stopped before it was committed, so
that those alone are made that failed. Then the shard is committed anew; it has the bytes that it
would have had without the failure.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipelines.compute import Compute
from pipelines.plan import Plan
from pipelines.recipe import Recipe
from preprocess.errors import InputError
from preprocess.user_cache import cache_folder, drop, keep, kept
from shards.dataset import DatasetInfo
from shards.files.digest import digests, sha256
from shards.files.home import expanded
from shards.files.storage import Store
from shards.files.tars import read_members
from shards.manifest import KINDS, Manifest, Quarantined
from shards.sample.codec import Members
from shards.waiting import WaitingClips

__all__ = [
    "Remembered",
    "forget",
    "given_densepose",
    "matcher",
    "recall",
    "remember",
    "set_aside",
]

# Clips of a shard that are set aside in one file.
_GROUP = 8


def matcher(reason: str | None) -> Callable[[Quarantined], bool]:
    """Whether a quarantined clip is to be tried again: all for None, else those of the kind
    `reason`; where it names none, those in whose reason the text occurs, in any case of letters."""
    if reason is None:
        return lambda clip: True
    wanted = reason.casefold()
    if wanted in KINDS:
        return lambda clip: wanted == clip.kind
    return lambda clip: wanted == clip.kind or wanted in clip.reason.casefold()


def set_aside(
    waiting: WaitingClips, plan: Plan, manifest: Manifest, again: Callable[[Quarantined], bool]
) -> dict[int, Quarantined]:
    """Set a shard's clips aside; the places and reasons of those that failed and stay so.

    A shard whose tar is not the one of its manifest is made again as a whole. Raises StorageError.
    """
    store, tar = waiting.dataset, f"{manifest.split}/{manifest.tar}"
    with store.open(tar) as file:
        if digests(file)["sha256"] != manifest.sha256:
            return {}
    keys = plan.keys(next(s for s, _ in plan.shards if s == manifest.split), manifest.index)
    places = {key: place for place, key in enumerate(keys)}
    group: dict[int, Members] = {}
    for sample in manifest.samples:
        data = store.read(tar, sample.offset, sample.offset + sample.length)
        group[places[sample.key]] = list(read_members(data, label=tar))
        if len(group) >= _GROUP or sample is manifest.samples[-1]:
            waiting.keep(manifest.split, manifest.index, group)
            group = {}
    return {places[clip.key]: clip for clip in manifest.quarantined if not again(clip)}


@dataclass(frozen=True)
class Remembered:
    """How a dataset was built: what its own files do not tell, since they depend on no place."""

    recipe: Recipe
    source: str
    weights: str | None
    compute: Compute


_PLAIN: Any = TypeAdapter(Remembered)


def _path(store: Store) -> Path:
    return cache_folder("builds") / f"{sha256(os.fsencode(store.url()))}.json"


def remember(store: Store, plan: Plan, weights: Path | None, compute: Compute) -> None:
    """Keep it in the user's cache folder, for `retry`."""
    where = None if weights is None else str(expanded(weights).absolute())
    source = str(plan.source) if "://" in str(plan.source) else str(plan.source.absolute())
    remembered = Remembered(_from_anywhere(plan.recipe), source, where, compute)
    keep(_path(store), json.dumps(asdict(remembered)).encode())


def _from_anywhere(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths of models and DensePose: it may be retried from any folder."""

    def absolute(text: str) -> str:
        name, colon, model = text.partition(":")
        path = expanded(model)
        return f"{name}:{path.absolute()}" if colon and path.exists() else text

    densepose = recipe.densepose and str(expanded(recipe.densepose).absolute())
    return replace(
        recipe,
        mask=absolute(recipe.mask),
        pose=absolute(recipe.pose),
        depth=tuple(map(absolute, recipe.depth)),
        densepose=densepose,
    )


def forget(store: Store) -> None:
    """Nothing of it is left to be tried again."""
    drop(_path(store))


def recall(
    store: Store,
    info: DatasetInfo,
    source: str | None,
    densepose: str | None = None,
    name: str = "",
) -> Remembered:
    """How the dataset in `store` was built, with another `source` and DensePose where they are
    given. `name` is "NAME=" where `--source` wants it.

    Raises InputError where this user has not built it, and what only its builder knows is not
    given.
    """
    content = kept(_path(store))
    try:
        if content is not None:
            found: Remembered = _PLAIN.validate_json(content)
            return _moved(found, source, densepose)
    except (ValidationError, InputError):
        pass  # of another version: as if it were not there
    lacking = {"source": source is None, "densepose": densepose is None and _used_densepose(info)}
    if any(lacking.values()):
        called = {"source": "its source", "densepose": "the DensePose that it was built with"}
        lacks = [what for what in lacking if lacking[what]]
        lie = " and ".join(called[what] for what in lacks) + (" lies" if len(lacks) < 2 else " lie")
        options = " ".join(f"--{what} {name if what == 'source' else ''}PATH" for what in lacks)
        raise InputError(
            f"{store.url()}: where {lie} is known to the user and machine that built it alone, and "
            f"this is another: give {options}"
        )
    assert source is not None
    names = [field.name for field in fields(Recipe)]
    given = {name: value for name, value in info.recipe.items() if name in names}
    try:
        recipe: Recipe = TypeAdapter(Recipe).validate_python(given)
    except ValidationError as error:
        raise InputError(
            f"{store.url()}: its recipe cannot be read back ({error.errors()[0]['msg']}): if "
            "another version of idol-prep built it, build it anew with this one"
        ) from error
    return _moved(Remembered(recipe, source, None, Compute()), source, densepose)


def given_densepose(recipe: Recipe) -> dict[str, str]:
    """What a dataset says of a folder of DensePose that it was built with: that there was one."""
    read = any(images.of == "densepose" for images in recipe.reads)
    return {"densepose": "a folder"} if read and recipe.densepose is not None else {}


def _used_densepose(info: DatasetInfo) -> bool:
    """Whether a dataset was built with `--densepose`, a program or a folder."""
    return "densepose" in info.recipe.get("annotators", {}) or bool(info.extras.get("densepose"))


def _moved(found: Remembered, source: str | None, densepose: str | None) -> Remembered:
    if densepose is not None:
        found = replace(found, recipe=replace(found.recipe, densepose=densepose))
    return found if source is None else replace(found, source=source)
