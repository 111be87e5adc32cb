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
from pipelines.recipe_file import load_recipe, packaged
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
        (
            {"mask": "grounded-sam"},
            {"workers": 0, "mask_gpus": 0.5},
            ["--mask-gpus 0.5 is not used: --workers 0 asks Ray for nothing"],
        ),
    ],
)
def test_an_option_that_means_nothing_is_told(recipe, compute, lines):
    assert unused(Recipe("videos", **recipe), Compute(**compute)) == lines


_BARE = {"mask": "none", "pose": "none", "depth": ("none",), "crop": "center"}
_TRUE = {"mask": "source", "pose": "source", "depth": ("source",)}


@pytest.mark.parametrize(
    ("dataset", "recipe", "told"),
    [
        ("videos", _BARE | {"person": "3"}, "--person 3: nothing here looks for people"),
        ("videos", _BARE | {"min_reference": 0.9}, "--min-reference 0.9: no mask is made"),
        ("videos", _BARE | {"min_reference": 0.0}, "--min-reference 0.0: no mask is made"),
        (
            "videos",
            _BARE | {"min_person_frames": 1.0},
            "--min-person-frames 1.0: nothing here looks for people",
        ),
        (
            "videos",
            _BARE | {"check_poses": False},
            "--no-check-poses: no mask is made, and no network makes a pose",
        ),
        ("videos", {"mask": "none", "min_reference": 0.9}, "--min-reference 0.9: no mask is made"),
        (
            "videos",
            {"mask": "sam3", "pose": "none", "depth": ("midas",), "crop": "center"}
            | {"people": "all", "person": "central"},
            "--person central: --people all takes everybody",
        ),
        ("videos", {"clip_length": 1, "smooth": False}, "--no-smooth: clips have one frame"),
        (
            "videos",
            {"mask": "grounded-sam", "clip_length": 1, "smooth_masks": True},
            "--smooth-masks: clips have one frame",
        ),
        (
            "videos",
            {"clip_length": 1, "stride": 2, "frame_step": 3},
            "--frame-step 3: clips have one frame",
        ),
        ("videos", {"densepose": "iuv"}, "--densepose iuv: no chosen annotator reads DensePose"),
        (
            "videos",
            {"group_by": "folder", "val_fraction": 0.0},
            "--group-by folder: all videos are train (--val-fraction 0)",
        ),
        ("images", {"shots": "off"}, "--shots off: images have no cuts"),
        ("images", {"max_gap": 9.0}, "--max-gap 9.0: images have no times"),
        ("coco", {"stride": 2}, "--stride 2: each image is a clip"),
        ("shhq", {"frame_step": 2}, "--frame-step 2: each image is a clip"),
        (
            "laion",
            {"max_background_shift": 3.0},
            "--max-background-shift 3.0: each image is its own reference",
        ),
        ("tiktok", {"val_fraction": 0.2}, "--val-fraction 0.2: tiktok has a split of its own"),
        (
            "disco",
            {"split": "disco", "val_fraction": 0.2},
            "--val-fraction 0.2: --split disco names the val videos",
        ),
        (
            "people",
            _TRUE | {"max_gap": 9.0},
            "--max-gap 9.0: rendered people have no cuts and no gaps",
        ),
        (
            "people",
            _TRUE | {"shots": "off"},
            "--shots off: rendered people have no cuts and no gaps",
        ),
        ("people", _TRUE | {"person": "2"}, "--person 2: the source says who the person is"),
        (
            "tiktok",
            {"mask": "source", "pose": "openpose", "person": "2"},
            "--person 2: the source says who the person is",
        ),
        (
            "people",
            _TRUE | {"mask": "none", "check_poses": False},
            "--no-check-poses: no mask is made, and no network makes a pose",
        ),
    ],
)
def test_each_option_of_a_recipe_that_means_nothing_is_told(dataset, recipe, told):
    option, _, why = told.partition(": ")
    assert unused(Recipe(dataset, **recipe), Compute()) == [f"{option} is not used: {why}"]


@pytest.mark.parametrize(
    ("dataset", "recipe"),
    [
        ("videos", {"person": "2", "min_reference": 0.9, "min_person_frames": 0.9}),
        ("videos", {"check_poses": False, "smooth": False, "pose_style": "dwpose"}),
        ("videos", {"shots": "off", "max_gap": 9.0, "max_background_shift": 3.0}),
        ("videos", {"group_by": "folder", "val_fraction": 0.2, "frame_step": 2, "stride": 3}),
        # Every third frame becomes a clip.
        ("videos", {"clip_length": 1, "frame_step": 3}),
        # People are looked for, and clips are kept whose reference shows nobody.
        ("videos", {"mask": "none", "min_reference": 0.0}),
        ("videos", {"mask": "none", "pose": "none", "depth": ("none",), "person": "2"}),
        ("videos", {"depth": ("hdnet",), "densepose": "iuv"}),
        ("videos", _BARE | {"mask": "sam3", "person": "2", "check_poses": False}),
        ("videos", _BARE | {"mask": "source", "min_reference": 0.9, "min_person_frames": 1.0}),
        ("images", {"group_by": "folder", "val_fraction": 0.2}),
        ("disco", {"val_fraction": 0.2}),
        # As it is.
        ("people", _TRUE | {"smooth": False}),
    ],
)
def test_options_that_mean_something_are_not(dataset, recipe):
    assert unused(Recipe(dataset, **recipe), Compute()) == []


@pytest.mark.parametrize("name", packaged())
def test_packaged_recipes_set_nothing_that_means_nothing(name):
    file = load_recipe(name)
    recipes = [entry.recipe for entry in file.sources] or [
        Recipe(**{"dataset": "tiktok", **file.settings})
    ]
    assert [line for recipe in recipes for line in unused(recipe, Compute())] == []
