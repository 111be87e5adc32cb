"""What a user must know before a build starts: what the source lacks, and licences."""

from collections.abc import Iterator
from dataclasses import fields

from pipelines.compute import Compute
from pipelines.plan import Plan
from pipelines.recipe import Recipe
from preprocess.annotators.registry import ANNOTATORS
from preprocess.errors import InputError
from preprocess.sources import IMAGE_DATASETS, PUBLISHED_SPLITS
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
        if not any(video.given(images.of) for video in listing.videos):
            layout = " (TikTok_dataset/00001/masks/0001.png)" if recipe.dataset == "tiktok" else ""
            raise InputError(
                f"--{option} {chosen.name}: no video of this {recipe.dataset} source has "
                f"{_CALLED[images.of]}{layout}; choose another --{option}"
            )


def notices(plan: Plan) -> tuple[str, ...]:
    """What users of the dataset must know, each notice once."""
    said = [c.spec.notice for c in plan.recipe.chosen.values() if c.spec.notice]
    for images in sorted(plan.recipe.reads, key=lambda images: images.of):
        lacking = [video.id for video in plan.videos if video.given(images.of) is None]
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
    """Of each option that means nothing here the name and why; of several whys the last counts."""
    made = recipe.chosen
    names = {chosen.spec.name for chosen in made.values()}
    for spec in ANNOTATORS:
        if spec.options and spec.name not in names:
            for field in fields(spec.options):
                yield field.name, f"{spec.name} makes nothing here"
    looking = {m: made[m].spec for m in ("person", "mask", "pose") if m in made}
    networks = {m for m, spec in looking.items() if not spec.reads}
    # The source's own masks and poses say themselves whose they are.
    choosing = "mask" not in looking.keys() - networks and any(
        m == "person" or looking[m].finds_people or looking[m].needs_boxes for m in networks
    )
    densepose = any(c.spec.reads and c.spec.reads.of == "densepose" for c in made.values())
    images, one_frame = recipe.dataset in IMAGE_DATASETS, recipe.frames == 1
    side = "val" if recipe.val_fraction else "train"
    table: tuple[tuple[bool, str, tuple[str, ...]], ...] = (
        (one_frame, "clips have one frame", ("smooth", "smooth_masks")),
        (one_frame and recipe.stride is not None, "clips have one frame", ("frame_step",)),
        (images, "each image is a clip", ("frame_step", "stride")),
        (images, "images have no cuts", ("shots",)),
        (images, "images have no times", ("max_gap",)),
        (images, "each image is its own reference", ("max_background_shift",)),
        (
            recipe.dataset == "people",
            "rendered people have no cuts and no gaps",
            ("shots", "max_gap"),
        ),
        (
            "mask" not in made and "pose" not in networks,
            "no mask is made, and no network makes a pose",
            ("check_poses",),
        ),
        ("pose" not in made, "no pose is made", ("pose_style", "smooth")),
        (bool(looking) and not choosing, "the source says who the person is", ("person",)),
        (recipe.people == "all", "--people all takes everybody", ("person",)),
        (not looking, "nothing here looks for people", ("person", "min_person_frames")),
        # Where people are looked for, 0 still keeps clips whose reference shows nobody.
        (
            "mask" not in made and (not looking or recipe.min_reference > 0),
            "no mask is made",
            ("min_reference",),
        ),
        (not densepose, "no chosen annotator reads DensePose", ("densepose",)),
        (
            recipe.val_fraction in (0, 1),
            f"all videos are {side} (--val-fraction {recipe.val_fraction:g})",
            ("group_by",),
        ),
        (
            recipe.dataset in PUBLISHED_SPLITS,
            f"{recipe.dataset} has a split of its own",
            ("val_fraction",),
        ),
        (recipe.split == "disco", "--split disco names the val videos", ("val_fraction",)),
    )
    for unused_here, why, options in table:
        if unused_here:
            yield from ((name, why) for name in options)


def _of_compute(recipe: Recipe, compute: Compute) -> Iterator[tuple[str, str]]:
    options = {c.spec.option for c in recipe.chosen.values() if c.spec.gpu}
    for option in ("mask", "pose", "depth"):
        if compute.device == "cpu":
            yield f"{option}_gpus", "--device is cpu"
        elif option not in options:
            yield f"{option}_gpus", f"no network makes the {option}"
        elif compute.workers == 0:
            yield f"{option}_gpus", "--workers 0 asks Ray for nothing"
    if not recipe.networks:
        yield from ((name, "no network of torch runs") for name in ("device", "precision", "batch"))
