"""What is filled in, as a command line of `idol-generate`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from idol.app.form import Form, FormError, as_command, parsed, settings
from idol.config.checks import ConfigError

KNOWN = settings()
CLIPS: dict[str, Any] = {"person_clip": "a.tar::one", "driving_clip": "b::two"}


def arguments(form: Form, model: Path | None = None) -> list[str]:
    return form.arguments(KNOWN, out=Path("out"), model=model, weights=None)


def test_what_is_usual_is_not_typed() -> None:
    usual = {setting.name: setting.usual for setting in KNOWN.all}
    assert arguments(Form(**CLIPS, settings=usual)) == [
        "a.tar::one", "--driving", "b::two", "--out", "out",
    ]  # fmt: skip


def test_each_setting_comes_back_from_the_command_line() -> None:
    given = {
        "seed": 7, "steps": 3, "guidance": 2.25, "keep_background": True, "watermark": False,
        "scheduler": "unipc", "fps": "30000/1001", "person": "2", "pose_style": "dwpose",
        "smooth": False,
    }  # fmt: skip
    form = Form(photo="p.jpg", driving="d.mp4", settings=given)
    config, annotators = parsed(arguments(form, Path("m o d e l")))
    for name in ("seed", "steps", "guidance", "keep_background", "watermark", "scheduler", "fps"):
        assert getattr(config, name) == given[name]
    assert annotators.asked == {"person": "2", "pose_style": "dwpose", "smooth": False}
    assert config.model == Path("m o d e l")


def test_files_belong_to_a_photo_alone() -> None:
    files: dict[str, Any] = {"person_mask": "m.png", "background": "b.png"}
    of_photo = arguments(Form(photo="p.jpg", driving="d.mp4", **files))
    assert of_photo[:7] == [
        "p.jpg", "--driving", "d.mp4", "--person-mask", "m.png", "--background", "b.png",
    ]  # fmt: skip
    assert "--person-mask" not in arguments(Form(**CLIPS, **files))


def test_settings_of_annotators_belong_to_what_they_look_at() -> None:
    given = {"mask": "sam3", "pose": "dwpose", "pose_style": "dwpose"}
    assert arguments(Form(**CLIPS, settings=given))[3:5] == ["--pose-style", "dwpose"]
    over_clip = Form(person_clip="a.tar::one", driving="d.mp4", settings=given)
    assert "--mask" not in arguments(over_clip)
    assert "--pose" in arguments(over_clip)


def test_a_command_is_quoted_for_a_shell() -> None:
    form = Form(photo="it's; rm -rf $HOME.jpg", driving_clip="b::two")
    given = arguments(form)
    assert shlex.split(as_command(given)) == ["idol-generate", *given]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (Form(driving_clip="b::two"), "Who is to move"),
        (Form(person_clip="a::one"), "How are they to move"),
        (Form(person_clip="a.tar", driving_clip="b::two"), "named as DATASET::KEY"),
        (Form(person_clip="--help::x", driving_clip="b::two"), "named as DATASET::KEY"),
        (Form(**CLIPS, settings={"seed": 1.5}), "Seed must be a whole number"),
        (Form(**CLIPS, settings={"frames": "many"}), "Frames must be a whole number, not many"),
        (Form(**CLIPS, settings={"guidance": "1,5"}), "Guidance must be a number, .* not 1,5"),
        (Form(**CLIPS, settings={"fps": "--help"}), "Fps cannot be --help"),
    ],
)
def test_what_is_missing_or_wrong_is_said(form: Form, said: str) -> None:
    with pytest.raises(FormError, match=said):
        arguments(form)


def test_what_the_command_refuses_is_refused_in_its_words() -> None:
    with pytest.raises(ConfigError, match="--steps"):
        parsed(arguments(Form(**CLIPS, settings={"steps": 0})))
    form = Form(photo="p.jpg", driving="d.mp4", settings={"mask": "nobody"})
    with pytest.raises(ConfigError, match="--mask must be"):
        parsed(arguments(form))


def test_every_option_of_the_command_is_on_the_page_or_asked_for_otherwise() -> None:
    names = [setting.name for setting in KNOWN.all]
    assert len(names) == len(set(names))
    assert {"retarget", "frame", "force", "overlap", "watermark_every", "person"} <= set(names)
    assert not {"out", "model", "overwrite", "c2pa", "preview"} & set(names)
    assert all(setting.help for setting in KNOWN.all)
