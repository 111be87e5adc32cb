"""Recipe files: every mistake at once with its line; packaged ones say what they should."""

import json
from itertools import pairwise

import pytest

from pipelines.cli import main
from pipelines.recipe import Recipe, RecipeMistakes
from pipelines.recipe_file import load_recipe, packaged, parse_recipe
from preprocess.annotators.registry import named
from preprocess.errors import InputError

*POSES, _ = named("pose")


def mistakes(text):
    with pytest.raises(InputError) as error:
        parse_recipe(text, "mine.yaml")
    title, *lines = str(error.value).splitlines()
    assert title == "mine.yaml cannot be used:"
    return [line.strip() for line in lines]


def test_every_mistake_is_named_with_its_line():
    found = mistakes(
        "dataset: tiktok\n"
        "clip_lenght: 8\n"
        "size: large\n"
        "crop: no\n"  # what YAML reads as false
        "stride: 0\n"
        "limit: 2.5\n"
        "depth: [hdnet, lite]\n"
        "pose: openpoze\n"
        "size: 256\n"
        "compute:\n"
        "  batch: -1\n"
        "  gpu: {}\n"
        "  gpus: {mask: a lot}\n"
    )
    assert found == [
        "line 2: clip_lenght is unknown; did you mean clip_length?",
        "line 3: size must be a whole number, not 'large'",
        "line 4: crop must be center, subject, video or none, not false "
        "(quote it if text is meant)",
        "line 5: stride must be at least 1, not 0",
        "line 6: limit must be a whole number, not 2.5",
        "line 7: depth hdnet and lite both make depth_person",
        f"line 8: pose must be {', '.join(POSES)} or none, not openpoze",
        "line 9: duplicate key `size` (first on line 3)",
        "line 11: batch must be at least 1, or auto, not -1",
        "line 12: gpu is unknown; did you mean gpus?",
        "line 13: mask must be a number, not 'a lot'",
    ]


@pytest.mark.parametrize(
    ("field", "choices"),
    [
        ("split", "published or disco"),
        ("shots", "auto or off"),
        ("crop", "center, subject, video or none"),
        ("pose_style", "openpose or dwpose"),
        ("people", "one or all"),
        ("grey", "near-black or near-white"),
        ("sam", "vit_h, vit_l or vit_b"),
    ],
)
def test_an_unknown_word_is_refused_by_the_recipe_itself(field, choices):
    with pytest.raises(RecipeMistakes) as error:
        Recipe("tiktok", **{field: "person"})
    assert error.value.mistakes == [f"{field} must be {choices}, not person"]


def test_an_unknown_dataset_is_refused_by_the_recipe_itself():
    with pytest.raises(RecipeMistakes) as error:
        Recipe("tictoc")
    (mistake,) = error.value.mistakes
    assert mistake.startswith("dataset must be tiktok, ")
    assert mistake.endswith(" or people, not tictoc")


def test_mistakes_of_sources():
    found = mistakes(
        "dataset: coco\n"
        "sources:\n"
        "  - name: a/b\n"
        "    dataset: coco\n"
        "    weight: 0\n"
        "  - dataset: videos\n"
        "    name: b\n"
        "    wieght: 3\n"
    )
    assert found == [
        "line 1: dataset is that of each source: say it there",
        "line 3: name 'a/b' is used as a folder name; use only letters, digits, - and _",
        "line 5: weight must be above 0, not 0",
        "line 6: weight is missing from this source",
        "line 8: wieght is unknown; did you mean weight?",
    ]
    common = "clip_length: 4\nsources:\n"
    assert mistakes(common + "  - {name: a, dataset: coco, weight: 1}\n") == [
        "line 3: clip_length must be 1 for coco, not 4"
    ]
    twice = "  - {name: a, dataset: videos, weight: 1}\n" * 2
    assert mistakes(common + twice) == ["line 4: name a is that of another source as well"]


# A kilobyte of aliases that stands for hundreds of millions of values.
MANY = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(10))}]\n" for a, b in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "mine.yaml, line 1: is not YAML"),
        (MANY, "mine.yaml has more than 100000 values"),
        ("a: 1\n\tb: 2", "mine.yaml, line 2: is not YAML"),
        ("- a\n- b", "must hold lines of `name: value`"),
        ("a: !!python/name:os.system", "is not YAML: could not determine"),
        ("[" * 500, "mine.yaml"),
    ],
)
def test_what_is_no_recipe_is_one_clear_line(text, message):
    with pytest.raises(InputError) as error:
        parse_recipe(text, "mine.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize("value", ["2026-99-99", "!!int ''", "!!bool maybe", "!!float x"])
def test_a_value_that_yaml_itself_cannot_make_is_a_mistake(value):
    (found,) = mistakes(f"size: {value}\n")
    assert found.startswith("line 1: size must be a whole number, not ")


def test_workers_may_be_said_in_a_file():
    assert parse_recipe("compute: {workers: 0}\n", "mine.yaml").compute.workers == 0
    assert mistakes("compute: {workers: -1}\n") == ["line 1: workers must be 0 or more, not -1"]


def test_a_file_without_settings_is_all_defaults():
    assert parse_recipe("# nothing\n", "mine.yaml").settings == {}


def test_the_papers_recipes():
    tiktok = load_recipe("paper", "tiktok")
    assert tiktok.title == "paper-tiktok"
    recipe = Recipe(**tiktok.settings)
    assert (recipe.mask, recipe.pose, recipe.depth) == (
        *("grounded-sam", "openpose"),
        ("hdnet", "midas"),
    )
    assert (recipe.size, recipe.pose_style, tiktok.compute.mask_gpus) == (256, "openpose", 0.25)
    ntu = Recipe(**load_recipe("paper", "ntu120").settings)
    assert (ntu.crop, ntu.val_fraction) == ("video", 0.11)
    with pytest.raises(InputError, match="coco has none"):
        load_recipe("paper", "coco")


def test_the_mixture_is_the_papers():
    haop = load_recipe("haop")
    assert {entry.name: entry.weight for entry in haop.sources} == {
        "coco": 20_000,
        "tiktok": 124_000,
        "deepfashion2": 276_000,
        "shhq": 40_000,
        "laion": 240_000,
    }
    for entry in haop.sources:
        assert (entry.recipe.frames, entry.recipe.pose, entry.recipe.depth) == (
            1,
            "none",
            ("none",),
        )


def test_the_lite_recipe_is_the_defaults():
    assert Recipe("videos", **load_recipe("lite").settings).resolved() == (
        Recipe("videos").resolved()
    )


def test_modalities_that_few_ask_for_do_not_make_other_datasets_of_the_rest():
    assert not {"normals", "flow"} & set(Recipe("videos").resolved())
    asked = Recipe("people", mask="source", pose="source", depth=("source",), normals="source")
    assert asked.resolved()["normals"] == "source"


def test_every_packaged_recipe_says_what_it_is_for():
    assert set(packaged()) == {"haop", "lite", "paper-ntu120", "paper-tiktok", "people"}
    for name in packaged():
        assert load_recipe(name).about.endswith(".")


def test_an_unknown_name(capsys):
    with pytest.raises(InputError, match="did you mean lite"):
        load_recipe("light")
    with pytest.raises(InputError, match="did you mean paper"):
        load_recipe("papr")
    assert main(["build", "--recipe", "nowhere.yaml", "--source", "a", "--out", "b"]) == 2
    assert "nowhere.yaml is neither a file nor one of" in capsys.readouterr().err


BARE = "mask: none\npose: none\ndepth: none\ncrop: center\nsize: 32\n"


def test_the_command_line_goes_before_the_file(tmp_path, make_video, capsys):
    make_video(tmp_path / "source" / "a.mp4", 40)
    file = tmp_path / "mine.yaml"
    file.write_text(f"dataset: videos\nclip_length: 8\nstride: 4\n{BARE}")
    out = tmp_path / "out"
    options = ("--source", str(tmp_path / "source"), "--out", str(out), "--workers", "0")
    assert main(["build", "--recipe", str(file), *options, "--stride=16"]) == 0
    built = json.loads((out / "dataset.json").read_text())["recipe"]
    assert (built["clip_length"], built["stride"], built["size"]) == (8, 16, 32)
    assert str(tmp_path) not in json.dumps(built)

    capsys.readouterr()
    assert main(["recipe", "diff", str(file), str(out)]) == 1
    assert capsys.readouterr().out == "stride: 4 | 16\n"
    assert main(["recipe", "diff", str(out), str(out)]) == 0


def test_help_tells_the_defaults_and_where_those_of_a_recipe_are(capsys):
    assert main(["build", "--help"]) == 0
    shown = " ".join(word for word in capsys.readouterr().out.split() if word != "│")
    assert "Height and width of the clip in pixels. (default: 256)" in shown
    assert "`idol-prep recipe show` prints one" in shown
    assert main(["recipe", "show", "paper-tiktok", "--resolved"]) == 0
    assert "mask: grounded-sam\n" in capsys.readouterr().out


def test_show(capsys):
    assert main(["recipe", "list"]) == 0
    assert "paper-ntu120" in capsys.readouterr().out
    assert main(["recipe", "show", "haop"]) == 0
    assert capsys.readouterr().out == packaged()["haop"]
    assert main(["recipe", "show", "paper-tiktok", "--resolved"]) == 0
    resolved = capsys.readouterr().out
    again = Recipe(**parse_recipe(resolved, "resolved").settings)
    assert again.resolved() == Recipe(**load_recipe("paper-tiktok").settings).resolved()
    assert main(["recipe", "show", "haop", "--resolved"]) == 0
    again = parse_recipe(capsys.readouterr().out, "resolved")
    assert [e.recipe for e in again.sources] != []
    assert main(["recipe", "diff", "haop", "haop"]) == 0
