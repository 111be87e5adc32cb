"""What a user must know before a build starts: what the source lacks, and licences."""

from collections.abc import Iterator
from dataclasses import fields

from pipelines.compute import Compute
from pipelines.plan import Plan
from pipelines.recipe import Recipe
from preprocess.annotators.registry import ANNOTATORS
from preprocess.errors import InputError
from preprocess.sources.values import Listing
from shards.options import not_used

__all__ = ["check_source", "notices", "unused"]

_CALLED = {"densepose": "DensePose", "masks": "masks", "truth": "rendered truth"}


def check_source(recipe: Recipe, listing: Listing) -> None:
    """Raises InputError when no video has what an annotator cannot do without."""
    for chosen in recipe.chosen.values():
        images, option = chosen.spec.reads, chosen.spec.option
        if images is None or not images.required:
            continue
        if not any(getattr(video, images.of) for video in listing.videos):
            layout = " (TikTok_dataset/00001/masks/0001.png)" if recipe.dataset == "tiktok" else ""
            raise InputError(
                f"--{option} {chosen.name}: no video of this {recipe.dataset} source has "
                f"{_CALLED[images.of]}{layout}; choose another --{option}"
            )


def notices(plan: Plan) -> tuple[str, ...]:
    """What users of the dataset must know, each notice once."""
    said = [c.spec.notice for c in plan.recipe.chosen.values() if c.spec.notice]
    for images in sorted(plan.recipe.reads, key=lambda images: images.of):
        lacking = [video.id for video in plan.videos if getattr(video, images.of) is None]
        if lacking:
            said.append(f"{_many(lacking, plan)} without {_CALLED[images.of]}: {images.without}")
    return tuple(dict.fromkeys(said))


def _many(lacking: list[str], plan: Plan) -> str:
    if len(lacking) == len(plan.videos):
        return "all videos are"
    return f"{len(lacking)} of {len(plan.videos)} videos (first: {lacking[0]}) are"


def unused(recipe: Recipe, compute: Compute) -> list[str]:
    """A line for each option that means nothing beside the others."""
    usual = Recipe(recipe.dataset)
    return [
        *not_used(recipe, usual, _of_recipe(recipe)),
        *not_used(compute, Compute(), _of_compute(recipe, compute)),
    ]


def _of_recipe(recipe: Recipe) -> Iterator[tuple[str, str]]:
    made = recipe.chosen
    specs = {chosen.spec.name for chosen in made.values()}
    for spec in ANNOTATORS:
        if spec.options and spec.name not in specs:
            for field in fields(spec.options):
                yield field.name, f"{spec.name} makes nothing here"
    if "pose" not in made:
        yield from ((name, "no pose is made") for name in ("pose_style", "smooth"))
    if recipe.frames == 1:
        yield "frame_step", "clips have one frame"


def _of_compute(recipe: Recipe, compute: Compute) -> Iterator[tuple[str, str]]:
    options = {c.spec.option for c in recipe.chosen.values() if c.spec.gpu}
    for option in ("mask", "pose", "depth"):
        if compute.device == "cpu":
            yield f"{option}_gpus", "--device is cpu"
        elif option not in options:
            yield f"{option}_gpus", f"no network makes the {option}"
    if not recipe.networks:
        yield from ((name, "no network of torch runs") for name in ("device", "precision", "batch"))
