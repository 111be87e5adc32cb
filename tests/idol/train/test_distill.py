"""Stage distill: stopped, resumed, saved, loaded, and generated from in a few steps."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LCMScheduler

from idol.config.checks import ConfigError
from idol.config.distill import DistillConfig
from idol.data.preparation import LatentBatch
from idol.diffusion.conditions import Conditions
from idol.diffusion.sampling import guided_noise
from idol.evaluate.cli import main as evaluate
from idol.generate.cli import main as generate
from idol.generate.errors import GenerationError
from idol.generate.generator import ClipGenerator, conditions_of
from idol.generate.loading import load_pipeline
from idol.model import DEPTH, VIDEO, DualModalDenoiser, DualModalUNetConfig
from idol.model_info import NotAModelError, read_info
from idol.saved import load_trained
from idol.train import distill
from idol.train.distill import Distillation, held_out_errors
from idol.train.monitor import Monitor
from idol.train.stopping import InterruptedRun, TrainError
from idol.train.train import train
from tests.idol.diffusion.stubs import conditions, draw
from tests.idol.small import SMALL, randomise
from tests.idol.train.micro import MODEL, SIZE, clip, losses_of, micro, weights_of

SETTINGS: dict[str, Any] = {"batch_size": 1, "checkpoint_every": 50}


@pytest.fixture(scope="module")
def teacher(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(micro("video", boxes, tmp_path_factory.mktemp("teacher") / "run", steps=3))


def students(boxes: Path, output: Path, teacher: Path, **settings: Any) -> Any:
    return micro("distill", boxes, output, init_from=teacher, **{**SETTINGS, **settings})


@pytest.fixture(scope="module")
def student(boxes: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of six steps, validated and drawn."""
    output = tmp_path_factory.mktemp("student") / "run"
    evaluated = {"validate_every": 6, "validation_clips": 2, "sample_every": 6}
    return train(students(boxes, output, teacher, steps=6, ema=0.95, **evaluated))


@pytest.mark.parametrize("steps", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    boxes: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    settings = {"steps": steps, "ema": 0.95}
    whole = train(students(boxes, tmp_path / "whole", teacher, **settings))
    config = students(boxes, tmp_path / "stopped", teacher, **settings)
    original = Monitor.log_step

    def log_step(self: Monitor, done: int, *rest: Any) -> None:
        original(self, done, *rest)
        if done == steps // 2 - 1:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Monitor, "log_step", log_step)
        with pytest.raises(InterruptedRun):
            train(config)
    resumed = train(config)
    assert losses_of(config.output) == losses_of(whole.parent)
    assert weights_of(resumed) == weights_of(whole)
    losses = losses_of(whole.parent)[-1]
    assert losses["total"] == pytest.approx(losses["distill_video"] + losses["distill_depth"])


def test_the_student_moves_and_the_foregrounds_encoder_does_not(
    student: Path, teacher: Path
) -> None:
    moved, before = weights_of(student), weights_of(teacher)
    assert moved.keys() == before.keys()
    same = {name for name in moved if moved[name] == before[name]}
    assert {name.split("/")[0] for name in same} == {"image_encoder"}


def test_its_folder_is_sampled_in_few_steps_without_guidance(student: Path) -> None:
    info = read_info(student)
    assert info.distilled is not None
    assert info.distilled.guidance == 1.5
    pipe = load_pipeline(student)
    assert isinstance(pipe.scheduler, LCMScheduler)
    given = conditions_of(clip(0))
    pictures = (given.foreground, given.background, given.skeletons)
    made = {
        steps: pipe(
            *pictures,
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        ).frames
        for steps in (1, 4, None)
    }
    assert (made[4] == made[None]).all()
    assert (made[1] != made[4]).any()
    assert not pipe.do_classifier_free_guidance
    with pytest.raises(GenerationError, match=r"guidance of 1\.5 in it"):
        pipe(*pictures, guidance_scale=2.0)
    with pytest.raises(ConfigError, match="not ddim"):
        ClipGenerator(pipe, scheduler="ddim")(given, 0)
    again = ClipGenerator(pipe)(given, 0)
    assert (again.frames == ClipGenerator(pipe, steps=4)(given, 0).frames).all()


def test_the_commands_take_it_as_it_is(boxes: Path, student: Path, tmp_path: Path) -> None:
    held_out = f"{boxes}/val::videos-box-7"
    generating = [held_out, "--driving", held_out, "--retarget", "none", "--no-watermark"]
    generating += ["--model", str(student), "--out", str(tmp_path / "made"), "--device", "cpu"]
    assert generate(generating) == 0
    told = json.loads((tmp_path / "made" / "report.json").read_text())["settings"]
    assert (told["scheduler"], told["steps"], told["guidance"]) == ("lcm", 4, 1.0)
    assert generate([*generating, "--guidance", "2", "--overwrite"]) == 2
    scoring = ["--model", str(student), "--shards", str(boxes), "--pose", "none", "--device", "cpu"]
    scoring += ["--out", str(tmp_path / "scored"), "--metrics", "psnr", "--protocol", "raw"]
    assert evaluate(["run", *scoring, "--no-score"]) == 0
    said = json.loads((tmp_path / "scored" / "run.json").read_text())
    assert (said["scheduler"], said["steps"], said["guidance"]) == ("lcm", 4, 1.0)


def test_a_teacher_that_knows_no_foreground_by_an_image_of_zeros_is_asked_so(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = dataclasses.replace(MODEL, unconditional="zeroed_image")
    before = train(micro("video", boxes, tmp_path / "teacher", model=model, steps=1))
    asked: list[Conditions] = []

    def guided(*inputs: Any, **options: Any) -> torch.Tensor:
        asked.append(inputs[3])
        return guided_noise(*inputs, **options)

    monkeypatch.setattr(distill, "guided_noise", guided)
    train(students(boxes, tmp_path / "student", before, model=model, steps=2))
    encoder = load_trained(before)[0].image_encoder
    image, mask = torch.zeros(1, SIZE, SIZE, 3), torch.zeros(1, SIZE, SIZE)
    assert asked
    for given in asked:
        assert given.unconditional_BTD is not None
        torch.testing.assert_close(given.unconditional_BTD, encoder(image, mask))


def test_it_is_validated_and_drawn(student: Path) -> None:
    [line] = (student.parent / "validation.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert found["distill"] == pytest.approx(found["distill_video"] + found["distill_depth"])
    assert found["distill"] > 0
    assert list((student.parent / "images").iterdir())
    assert "How far apart its answers" in (student / "README.md").read_text()


@pytest.mark.parametrize("prediction", ["noise", "change"])
@pytest.mark.parametrize("error", ["huber", "l2"])
def test_gradients_reach_a_student_of_any_prediction_and_it_alone(
    prediction: Any, error: Any
) -> None:
    change = {"change_spread": (0.5,) * 4, "far_latent": (0.1,) * 4}
    small = {**SMALL, **(change if prediction == "change" else {}), "prediction": prediction}
    teacher, target, student = (
        DualModalDenoiser.from_config(DualModalUNetConfig(**small)) for _ in range(3)
    )
    for number, model in enumerate((teacher, target, student)):
        torch.manual_seed(number)
        randomise(model)
    shape = (2, 2, 3, 4, 8, 8)
    batch = LatentBatch(("a", "b"), draw(*shape), conditions(), (VIDEO, DEPTH), (0, 1))
    objective = Distillation(teacher, DistillConfig(error=error), None)
    errors = objective.errors(student, target, batch, draw(*shape, seed=9), torch.tensor([3, 40]))
    errors.sum().backward()
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    assert len(gradients) > 20
    assert all(bool(g.isfinite().all()) for g in gradients)
    assert any(bool(g.any()) for g in gradients)
    assert all(p.grad is None for m in (teacher, target) for p in m.parameters())


def test_held_out_clips_may_be_fewer_than_the_processes() -> None:
    """One without any adds nothing, and says what the others say."""
    torch.manual_seed(0)
    student, teacher = (
        randomise(DualModalDenoiser.from_config(DualModalUNetConfig(**SMALL))) for _ in range(2)
    )
    objective = Distillation(teacher, DistillConfig(), None)
    latents = draw(2, 2, 3, 4, 8, 8)
    batch = LatentBatch(("a", "b"), latents, conditions(), (VIDEO, DEPTH), (0, 1))
    others: list[torch.Tensor] = []

    def keep(sums: torch.Tensor) -> torch.Tensor:
        others.append(sums)
        return sums

    alone = held_out_errors(student, objective, [batch], reduce=keep)
    assert alone["distill"] == pytest.approx(alone["distill_video"] + alone["distill_depth"])
    assert min(alone.values()) > 0
    assert held_out_errors(student, objective, [], reduce=lambda own: own + others[0]) == alone
    with pytest.raises(TrainError, match="no clip to validate on"):
        held_out_errors(student, objective, [])


@pytest.mark.slow
def test_without_an_average_the_student_is_its_own_target(
    boxes: Path, teacher: Path, tmp_path: Path
) -> None:
    """And with one of decay 0 it is too: the average is then the student."""
    losses = [
        losses_of(train(students(boxes, tmp_path / f"{n}", teacher, steps=3, ema=ema)).parent)
        for n, ema in enumerate((0.0, 1e-9, 0.99))
    ]
    assert [line["total"] for line in losses[0]] == pytest.approx([x["total"] for x in losses[1]])
    assert losses[0][-1]["total"] != pytest.approx(losses[2][-1]["total"], rel=1e-9)


def test_a_teacher_is_needed_the_same_one_to_the_end(
    boxes: Path, teacher: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainError, match="a teacher"):
        train(micro("distill", boxes, tmp_path / "none", **SETTINGS))
    filled = dataclasses.replace(read_info(teacher).settings, background_hole="filled")
    with pytest.raises(TrainError, match="teaches what it makes of grey holes"):
        train(students(boxes, tmp_path / "filled", teacher, model=filled))
    spread = dataclasses.replace(read_info(teacher).settings, posed_depth_spread=0.7)
    with pytest.raises(TrainError, match=r"teaches in units of 0\.5: leave out --model\.posed-de"):
        train(students(boxes, tmp_path / "spread", teacher, model=spread))
    own = shutil.copytree(teacher, tmp_path / "own")
    config = students(boxes, tmp_path / "run", own, steps=2)
    train(config)
    shutil.rmtree(config.output / "model")
    other = train(micro("video", boxes, tmp_path / "other", steps=4))
    longer = students(boxes, config.output, other, steps=2)
    with pytest.raises(TrainError, match="--init-from"):
        train(longer)
    shutil.rmtree(own)
    gone = students(boxes, config.output, own, steps=2)
    with pytest.raises(NotAModelError, match="own"):
        train(gone)
