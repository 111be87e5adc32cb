"""A person from a photo: cut by a mask that is given, or by an annotator, as a build cuts clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from idol.generate.errors import GenerationError
from idol.generate.generator import seen_joints
from idol.generate.inputs.frame import Fit, fit, from_square
from idol.generate.inputs.preprocessing import as_generation_errors
from idol.generate.inputs.values import Person
from preprocess.annotate import ClipRequest, annotate
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.registry import NONE
from preprocess.annotators.spec import Hardware
from preprocess.frames import ImageFile, read_image
from preprocess.load import load
from preprocess.picture import ON_WHITE
from preprocess.reference import Seen, foreground_crop
from preprocess.shots import Shot
from preprocess.sources.values import Video
from preprocess.survey import survey
from shards.sample.keypoints import COCO_18, Keypoints
from shards.sample.skeleton import MIN_SCORE

__all__ = ["person_of_photo"]

_MOST = 2048  # pixels of the square in which annotators give what they find
_LARGEST = 1024  # pixels of the foreground's square: no image encoder looks at more
_MOST_OF_PICTURE = 0.97  # that a mask may cover: more is a mask of the background
_BODY = len(COCO_18)
_SEEN = 4  # joints: fewer say nothing of a body


def person_of_photo(
    photo: Path,
    choice: AnnotatorChoice,
    *,
    mask: Path | None = None,
    background: Path | None = None,
    background_mask: Path | None = None,
    weights: Path | None = None,
    hardware: Hardware | None = None,
) -> Person:
    """The person in a photo, before a background, which is the photo itself unless given.

    Args:
        choice: who makes the mask, where none is given, and the key points; of several people
            `choice.person` says which.
        mask: an image of the photo's size, white where the person is.
        background: another picture to move before; the person stands in it as in the photo, which
            is laid over it as large as it goes into it.
        background_mask: its hole, white where it is not to be shown; unless given, where the
            background is transparent.
        weights, hardware: of annotators, as `preprocess.load.load` takes them.

    Raises:
        GenerationError: an image cannot be read; the mask is of another size, or empty; nobody is
            in the photo; files or packages of an annotator are absent.
    """
    with as_generation_errors():
        picture, _ = read_image(photo)
        video = _as_video(photo, mask)
        if mask is not None:
            _check_mask(mask, photo, picture.shape[:2])
            choice = replace(choice, mask="source")
        elif choice.mask == NONE:
            raise GenerationError(
                f"{photo}: nobody says where the person is: give their mask as --person-mask, or "
                "an annotator as --mask"
            )
        # Depth and crops are not asked for: the whole picture is looked at.
        choice = replace(
            choice, depth=(NONE,), normals=NONE, flow=NONE, crop="none", people="one",
            densepose=None, grey="near-black",
        )  # fmt: skip
        annotators = load(choice, weights, hardware=hardware)
        side = min(max(picture.shape[:2]), _MOST)
        shot = Shot(0, 0)
        looked = survey(video, shot, annotators, side)
        seen = looked.reference
        if seen.box is None or seen.mask is None:
            raise GenerationError(
                f"{photo}: no person was found: give their mask as --person-mask, or another "
                "annotator as --mask"
            )
        request = ClipRequest(photo.stem, "photo", "val", (0,), shot)
        clip = annotate(request, video, [seen.frame], looked, annotators, size=side)
    if clip.mask is not None and not (clip.mask > 127).any():
        raise GenerationError(
            f"{photo}: what was found is no person's shape: give their mask as --person-mask, or "
            "another annotator as --mask"
        )
    points = None
    if clip.keypoints is not None:
        points = from_square(clip.keypoints[:, 0], clip.info["crop"]["box"], side)
        if int((points[0, :_BODY, 2] >= MIN_SCORE).sum()) < _SEEN:
            points = None
    people = len(looked.identity.people) if looked.identity else None
    info: dict[str, Any] = {
        "kind": "photo",
        "size": [picture.shape[1], picture.shape[0]],
        "picture": clip.info["picture"],
        "mask_from": "a file" if mask else clip.info["annotators"]["mask"]["name"],
        "people": people,
        "person": clip.info["subject"] and clip.info["subject"]["number"],
        "annotators": clip.info["annotators"],
        "coverage": round(float((seen.mask > 127).mean()), 4),
    }
    joints = None if points is None else seen_joints(points[0, :_BODY], MIN_SCORE)
    person = _cut(seen, points, joints, photo.name, info)
    if background is None:
        return person
    return _before(person, background, background_mask)


def _as_video(photo: Path, mask: Path | None) -> Video:
    def file(path: Path, *, data: bool) -> ImageFile:
        return ImageFile(str(path.parent), path.name, path.stat().st_size, data=data)

    masks = None if mask is None else file(mask, data=True)
    return Video(photo.stem, 1, 25.0, file(photo, data=False), photo.stem, masks=masks)


def _check_mask(mask: Path, photo: Path, shape: tuple[int, ...]) -> None:
    image, _ = read_image(mask, data=True)
    if image.shape[:2] != shape:
        raise GenerationError(
            f"{mask} has {image.shape[1]}x{image.shape[0]} pixels, {photo} has "
            f"{shape[1]}x{shape[0]}: a mask must have the size of its photo"
        )
    covered = float((image.max(-1) > 127).mean())
    if covered == 0:
        raise GenerationError(f"{mask} is black: it must be white where the person is")
    if covered > _MOST_OF_PICTURE:
        raise GenerationError(
            f"{mask} covers {covered:.0%} of the photo: it must be white where the person is, and "
            "black elsewhere"
        )


def _cut(
    seen: Seen,
    points: np.ndarray | None,
    joints: np.ndarray | None,
    name: str,
    info: dict[str, Any],
) -> Person:
    """The person's square; `points` and `joints` are in pixels of the photo."""
    assert seen.mask is not None
    crop = foreground_crop(seen, 1)
    crop = replace(crop, size=min(crop.side, _LARGEST))
    return Person(
        crop.apply(seen.frame.rgb),
        crop.apply(seen.mask),
        seen.frame.rgb,
        seen.mask,
        points,
        name,
        {**info, "box": list(crop.box)},
        None
        if joints is None
        else Keypoints(joints[None, None], COCO_18).transformed(crop.to_clip).points[0, 0],
    )


def _before(person: Person, background: Path, mask: Path | None) -> Person:
    """The same person, in another place."""
    with as_generation_errors():
        picture, notes = read_image(background)
        hole = np.zeros(picture.shape[:2], np.uint8)
        if mask is None and ON_WHITE in notes:
            with Image.open(background) as image:
                alpha = ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")
            hole = 255 - np.asarray(alpha)
        elif mask is not None:
            drawn, _ = read_image(mask, data=True)
            if drawn.shape != picture.shape:
                raise GenerationError(
                    f"{mask} has {drawn.shape[1]}x{drawn.shape[0]} pixels, {background} has "
                    f"{picture.shape[1]}x{picture.shape[0]}: a mask must have the size of its "
                    "picture"
                )
            hole = drawn.max(-1)
    there = fit(person.size, (picture.shape[1], picture.shape[0]))
    points = None if person.keypoints is None else _moved(person.keypoints, there)
    info = {**person.info, "background": background.name, "photo_over_it": there.as_json()}
    return replace(person, background=picture, background_mask=hole, keypoints=points, info=info)


def _moved(points: np.ndarray, by: Fit) -> np.ndarray:
    moved = points.copy()
    moved[..., :2] = moved[..., :2] * by.scale + np.array([by.x, by.y], np.float32)
    return moved
