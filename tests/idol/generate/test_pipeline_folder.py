"""A pipeline's folder: saved, loaded, also where nothing of this package was imported before."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UniPCMultistepScheduler

from idol.diffusion.schedulers import UniPC, scheduler_for
from idol.generate import IdolPipeline
from idol.model_info import read_info
from idol.saved import load_trained
from tests.idol.generate.small import given, sd14, seeded, tiny

STEPS = 2
ALIGNMENT = 64  # bytes, of what torch allocates on a CPU

FRESH = """
import sys
import numpy as np, torch, warnings
folder, inputs, out, how = sys.argv[1:]
if how == "generic":
    from diffusers import DiffusionPipeline
    pipe = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
else:
    from idol.generate import IdolPipeline
    pipe = IdolPipeline.from_pretrained(folder)
pipe.set_progress_bar_config(disable=True)
generator = torch.Generator().manual_seed(0)
given = dict(np.load(inputs))
frames = pipe(**given, num_inference_steps=2, generator=generator, output_type="np").frames
np.save(out, frames)
"""


def frames_of(pipe: IdolPipeline, **options: Any) -> np.ndarray:
    pipe.set_progress_bar_config(disable=True)
    given_now = given(pipe.size)
    return pipe(
        **given_now,
        **{
            "num_inference_steps": STEPS,
            "generator": seeded(),
            "output_type": "np",
            **options,
        },
    ).frames


def latents_of(pipe: IdolPipeline) -> bytes:
    latents: Any = frames_of(pipe, output_type="latent")
    return bytes(latents.numpy().tobytes())


def tensors_of(pipe: IdolPipeline) -> list[torch.Tensor]:
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    return [tensor for part in parts for tensor in (*part.parameters(), *part.buffers())]


def test_the_example_of_the_page_makes_a_video(tmp_path: Path, monkeypatch: Any) -> None:
    page = (Path(__file__).parents[3] / "docs" / "generation.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    tiny().save_pretrained(tmp_path / "runs/video/model")
    monkeypatch.chdir(tmp_path)
    here = given()
    names = {
        "person": here["foreground"],
        "place": here["background"],
        "skeletons": list(here["poses"]),
        "person_mask": here["foreground_mask"],
        "hole": here["background_mask"],
    }
    exec(code.replace(', dtype=torch.float16).to("cuda")', ")"), names)
    with av.open("video.mp4") as video:
        assert len([*video.decode(video=0)]) == len(here["poses"])
    assert names["depth"].shape == names["confidence"].shape == here["poses"].shape[:3]


@pytest.mark.parametrize("make", [tiny, sd14])
def test_what_is_saved_is_loaded(make: Any, tmp_path: Path) -> None:
    pipe = make()
    pipe.save_pretrained(tmp_path)
    loaded = IdolPipeline.from_pretrained(tmp_path)
    assert np.array_equal(frames_of(loaded), frames_of(pipe))
    assert loaded.info == pipe.info == read_info(tmp_path)
    assert type(loaded.scheduler) is type(pipe.scheduler)
    assert loaded.scheduler.config.clip_sample == pipe.scheduler.config.clip_sample


@pytest.mark.parametrize("make", [tiny, sd14])
def test_damaged_weights_of_any_part_are_named(make: Any, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    files = sorted(tmp_path.glob("*/*.safetensors"))
    assert len(files) >= 4
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        name = re.escape(str(path))
        with pytest.raises(OSError, match=rf"^{name} is damaged .*: copy, fetch or train it again"):
            IdolPipeline.from_pretrained(tmp_path)
        path.write_bytes(whole)
    IdolPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize("make", [tiny, sd14])
def test_what_is_loaded_lies_in_memory_as_what_was_saved(make: Any, tmp_path: Path) -> None:
    """Kernels add numbers up in an order that depends on where they lie."""
    pipe = make()
    pipe.save_pretrained(tmp_path)
    whole, loaded = IdolPipeline.from_pretrained(tmp_path), load_trained(tmp_path)[0]
    trained = IdolPipeline.of(
        loaded.denoiser, loaded.image_encoder, loaded.codec, whole.scheduler, whole.info
    )
    expected = latents_of(pipe)
    for other in (whole, trained):
        for tensor in tensors_of(other):
            assert tensor.data_ptr() % ALIGNMENT == 0
            assert tensor.untyped_storage().resizable()  # no map of a file
        assert latents_of(other) == expected


@pytest.mark.slow
@pytest.mark.parametrize("how", ["own", "generic"])
@pytest.mark.parametrize("make", [tiny, sd14])
def test_a_fresh_process_loads_it(how: str, make: Any, tmp_path: Path) -> None:
    pipe, inputs, out = make(), tmp_path / "given.npz", tmp_path / "frames.npy"
    pipe.save_pretrained(tmp_path / "model")
    np.savez(inputs, **given(pipe.size))
    arguments = [sys.executable, "-c", FRESH, tmp_path / "model", inputs, out, how]
    torch_threads = {"OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [str(a) for a in arguments], env={**_environment(), **torch_threads}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    np.testing.assert_allclose(np.load(out), frames_of(pipe), atol=1e-5)


def test_it_is_not_its_own_code_that_runs(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    (tmp_path / "pipeline.py").write_text("raise SystemExit('this folder runs code')")
    IdolPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize("make", [tiny, sd14])
def test_a_dtype_is_that_of_all_parts(make: Any, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    loaded = IdolPipeline.from_pretrained(tmp_path, dtype=torch.bfloat16)
    modules = (loaded.unet, loaded.controlnet, loaded.foreground_projection, loaded.image_encoder)
    for module in modules:
        assert module.dtype == torch.bfloat16
    whole, half = frames_of(IdolPipeline.from_pretrained(tmp_path)), frames_of(loaded)
    assert np.abs(whole - half).mean() < 0.05
    assert half.dtype == np.float32


def test_it_is_saved_again_with_another_scheduler_and_vae(tmp_path: Path) -> None:
    pipe = tiny()
    pipe.scheduler = scheduler_for("unipc", 10)
    pipe.save_pretrained(tmp_path / "once")
    again = IdolPipeline.from_pretrained(tmp_path / "once")
    again.save_pretrained(tmp_path / "twice")
    assert type(again.scheduler) is UniPC
    assert isinstance(again.scheduler, UniPCMultistepScheduler)
    both = (tmp_path / name / "model_index.json" for name in ("once", "twice"))
    first, second = (json.loads(path.read_bytes()) for path in both)
    first.pop("_name_or_path", None)
    second.pop("_name_or_path", None)
    assert first == second
    other = IdolPipeline.from_pretrained(tmp_path / "twice", scheduler=tiny().scheduler)
    assert type(other.scheduler) is not UniPC


def test_loading_complains_of_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny().save_pretrained(tmp_path)
    IdolPipeline.from_pretrained(tmp_path)
    assert not caplog.records


def test_a_folder_without_its_parts_is_named(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(OSError, match="diffusion_pytorch_model"):
        IdolPipeline.from_pretrained(tmp_path)


def test_the_frozen_vae_is_saved_as_it_is(tmp_path: Path) -> None:
    pipe = sd14()
    pipe.save_pretrained(tmp_path)
    loaded = AutoencoderKL.from_pretrained(tmp_path / "vae")
    for name, tensor in pipe.vae.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def _environment() -> dict[str, str]:
    root = Path(__file__).parents[3]
    return {**os.environ, "PYTHONPATH": str(root)}
