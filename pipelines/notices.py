"""What a user must know before a build starts: what the source lacks, and licences."""

from pipelines.plan import Plan
from pipelines.recipe import Recipe
from preprocess.errors import InputError
from preprocess.sources.values import Listing

__all__ = ["check_source", "notices"]

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
