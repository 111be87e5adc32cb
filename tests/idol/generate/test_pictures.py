"""Images of all depths of PIL's, as uint8."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from idol.generate.errors import GenerationError
from idol.generate.pictures import mask_of, picture_of

WANTED = np.array([[0, 51], [128, 255]], np.uint8)


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(WANTED),
        Image.fromarray(WANTED.astype(np.uint16) * 257),
        Image.fromarray(WANTED.astype(np.float32) / 255),
        Image.fromarray(WANTED).convert("LA"),
    ],
    ids=["8 bits", "16 bits", "floats", "with alpha"],
)
def test_what_pil_opens_is_read_in_its_own_scale(picture: Image.Image) -> None:
    found, _ = picture_of(picture, "background")
    assert np.array_equal(found, np.repeat(WANTED[..., None], 3, axis=-1))


@pytest.mark.parametrize(("mode", "colour"), [("L", 51), ("RGB", (51, 51, 51))])
def test_a_colour_that_is_transparent_is_no_part_of_a_picture(mode: str, colour: object) -> None:
    picture = Image.fromarray(WANTED).convert(mode)
    picture.info["transparency"] = colour
    found, alpha = picture_of(picture, "foreground")
    assert np.array_equal(found, np.repeat(WANTED[..., None], 3, axis=-1))
    assert alpha is not None
    assert alpha.tolist() == [[255, 0], [255, 255]]
    mask = mask_of(picture, "mask", (2, 2))
    assert mask is not None
    assert np.array_equal(mask, WANTED)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_tensor_of_half_precision_is_that_of_the_same_values(dtype: torch.dtype) -> None:
    halves = torch.linspace(0, 1, 48).reshape(4, 4, 3).to(dtype)
    found, _ = picture_of(halves, "background")
    assert np.array_equal(found, picture_of(halves.float(), "background")[0])
    assert np.array_equal(found, picture_of(halves.float().numpy(), "background")[0])


def test_a_mask_of_sixteen_bits_is_a_mask() -> None:
    found = mask_of(Image.fromarray(WANTED.astype(np.uint16) * 257), "mask", (2, 2))
    assert np.array_equal(found, WANTED)


def test_what_has_no_known_scale_is_refused() -> None:
    with pytest.raises(GenerationError, match="background has 32 bits a pixel"):
        picture_of(Image.fromarray(WANTED.astype(np.int32)), "background")
    with pytest.raises(GenerationError, match=r"background has values outside \[0, 1\]"):
        picture_of(Image.fromarray(WANTED.astype(np.float32)), "background")
