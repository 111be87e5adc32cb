"""What the source lacks and what licences say: found out before anything is built."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipelines.build import plan_build
from pipelines.cli import main
from pipelines.compute import Compute
from pipelines.notices import notices, unused
from pipelines.recipe import Recipe
from preprocess.errors import InputError


@pytest.fixture
def source(tmp_path, make_video):
    make_video(tmp_path / "source" / "a.mp4", 4)
    make_video(tmp_path / "source" / "deep er" / "b.mp4", 3)
    return tmp_path / "source"


@pytest.fixture
def densepose(tmp_path, write_image):
    """densepose(video, count) writes numbered images whose part index is their number."""

    def write(video, count, start=8):
        for i in range(start, start + count):  # 10 comes after 9
            write_image(tmp_path / "iuv" / video / f"{i}.png", np.full((64, 96, 3), i, np.uint8))
        return tmp_path / "iuv"

    return write


def test_it_is_part_of_the_source_where_it_is_used(source, densepose):
    folder = densepose("a", 4)
    for depth, same in ((("hdnet",), False), (("lite",), True)):
        recipe = Recipe("videos", clip_length=2, depth=depth)
        without = plan_build(recipe, source).source_summary()
        given = plan_build(replace(recipe, densepose=str(folder)), source).source_summary()
        assert (json.dumps(without) == json.dumps(given)) == same


def test_what_must_be_known_is_said_once(source, capsys):
    recipe = Recipe("videos", clip_length=2, pose="openpose", depth=("hdnet",))
    licence, quality = notices(plan_build(recipe, source))
    assert "Carnegie Mellon" in licence
    assert quality.startswith("all videos are without DensePose: HDNet gets zeros in its place")
    assert notices(plan_build(Recipe("videos", clip_length=2), source)) == ()
    command = ["build", "--dataset", "videos", "--source", str(source), "--clip-length", "2"]
    command += ["--pose", "openpose", "--out", str(source.parent / "out"), "--dry-run"]
    assert main(command) == 0
    assert " ".join(capsys.readouterr().out.split()).count("Carnegie Mellon") == 1


def test_a_source_without_masks_cannot_give_them(source, capsys):
    command = ["build", "--dataset", "videos", "--source", str(source), "--mask", "source"]
    assert main([*command, "--out", str(source.parent / "out")]) == 2
    assert "no video of this videos source has masks; choose another --mask" in (
        capsys.readouterr().err
    )


def test_a_densepose_program_that_is_absent_is_named_before_anything_else(source, tmp_path):
    recipe = Recipe("videos", clip_length=2, depth=("hdnet",), densepose=str(tmp_path / "no.pt"))
    with pytest.raises(InputError, match=r"--densepose .*no\.pt does not exist: give a folder"):
        plan_build(recipe, source)


@pytest.mark.parametrize(
    ("recipe", "compute", "lines"),
    [
        ({}, {}, []),
        ({"mask": "grounded-sam"}, {"precision": "fp32"}, []),
        ({}, {"precision": "fp32"}, ["--precision fp32 is not used: no network of torch runs"]),
        ({}, {"mask_gpus": 0.5}, ["--mask-gpus 0.5 is not used: no network makes the mask"]),
        (
            {"mask": "grounded-sam"},
            {"device": "cpu", "mask_gpus": 0.5},
            ["--mask-gpus 0.5 is not used: --device is cpu"],
        ),
        (
            {"pose": "none", "smooth": False},
            {},
            ["--no-smooth is not used: no pose is made"],
        ),
        (
            {"smooth_masks": True},
            {},
            ["--smooth-masks is not used: grounded-sam makes nothing here"],
        ),
    ],
)
def test_an_option_that_means_nothing_is_told(recipe, compute, lines):
    assert unused(Recipe("videos", **recipe), Compute(**compute)) == lines
