"""`idol-prep recipe`: list, show and compare recipes."""

import json
from typing import Annotated, Any

import tyro
import yaml
from tyro.extras import SubcommandApp

from pipelines.recipe import Recipe
from pipelines.recipe_file import RecipeFile, load_recipe, packaged, parse_recipe
from preprocess.errors import InputError
from shards.files.home import expanded

__all__ = ["recipe_app"]

recipe_app = SubcommandApp()

EXIT_DIFFERENT = 1

Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|PATH")]


@recipe_app.command(name="list")
def list_recipes() -> int:
    """The recipes that come with the package."""
    for name, text in packaged().items():
        print(f"{name:14} {parse_recipe(text, name).about}")
    print("paper          the one of --dataset: paper-tiktok or paper-ntu120")
    return 0


@recipe_app.command
def show(name: Name, resolved: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False) -> int:
    """Print a recipe, to be read or copied into a file of your own.

    Args:
        name: A packaged recipe, or a file.
        resolved: Every setting with its value, defaults included, instead of the file's text.
    """
    recipe = load_recipe(name)
    if resolved:
        print(yaml.safe_dump(_resolved(recipe), sort_keys=False, allow_unicode=True), end="")
    else:
        print(recipe.text, end="")
    return 0


@recipe_app.command
def diff(a: Name, b: Name) -> int:
    """Print in which settings two recipes differ; exits with 1 if they do.

    Args:
        a: A packaged recipe, a file, or the folder of a built dataset.
        b: The other one.
    """
    left, right = _flat(_settings(a)), _flat(_settings(b))
    different = [key for key in {**left, **right} if _differ(key, left, right)]
    for key in different:
        print(f"{key}: {_said(left, key)} | {_said(right, key)}")
    if not different:
        print("the same settings")
    return EXIT_DIFFERENT if different else 0


def _differ(key: str, left: dict[str, Any], right: dict[str, Any]) -> bool:
    if key.startswith("compute."):  # a dataset knows of its precision alone, and never says auto
        return (
            key in left
            and key in right
            and "auto" not in (left[key], right[key])
            and (left[key] != right[key])
        )
    return key not in left or key not in right or left[key] != right[key]


def _said(values: dict[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "not there"


def _resolved(recipe: RecipeFile) -> dict[str, Any]:
    compute: dict[str, Any] = {
        "device": recipe.compute.device,
        "precision": recipe.compute.precision,
        "batch": recipe.compute.batch,
    }
    recipes = [s.recipe for s in recipe.sources] or [_recipe(recipe)]
    compute["gpus"] = {k: gpus for r in recipes for k, gpus in recipe.compute.gpus(r).items()}
    if not recipe.sources:
        return {**_fields(recipe), "compute": compute}
    sources = [{"name": s.name, "weight": s.weight, **s.recipe.resolved()} for s in recipe.sources]
    return {"compute": compute, "sources": sources}


def _recipe(recipe: RecipeFile) -> Recipe:
    return Recipe(**{"dataset": "tiktok", **recipe.settings})


def _fields(recipe: RecipeFile) -> dict[str, Any]:
    """What the recipe says with defaults; without a dataset, lengths that depend on it are open."""
    resolved = _recipe(recipe).resolved()
    if "dataset" not in recipe.settings:
        resolved["dataset"] = None
    return resolved


def _settings(name: str) -> dict[str, Any]:
    """A recipe's settings, or those of a built dataset."""
    if not expanded(name).is_dir():
        return _resolved(load_recipe(name))
    from shards.dataset import read_info
    from shards.mix import read_mix

    folder = expanded(name)
    if mix := read_mix(folder):
        built = [
            {"name": e.path, "weight": e.weight, **_settings(str(folder / e.path))} for e in mix
        ]
        for source in built:
            del source["compute"]  # which a recipe says once for all
        return {"sources": built}
    info = read_info(folder)
    if info is None:
        raise InputError(f"{name} holds no dataset.json: give a recipe or the folder of a dataset")
    others = ("annotators", "source", "precision", "cuts")
    settings = {key: value for key, value in info.recipe.items() if key not in others}
    return {**settings, "compute": {"precision": info.recipe.get("precision")}}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names; sources by their names."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = {item["name"]: item for item in value}
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else key)
    return flat
