"""The systems that the paper compares with: LDM3D, MM-Diffusion and DisCo."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from idol.config import ConfigError, TrainConfig, preset
from idol.config.autoencoder import AutoencoderConfig, read_latents
from idol.config.model import DEPTH, VIDEO
from idol.config.presets import with_latents
from idol.generate.generator import ClipGenerator, conditions_of
from idol.model import DualModalDenoiser
from idol.model.cost import example_inputs, parameters
from idol.model_info import DepthMeaning, read_info
from idol.saved import load_trained
from idol.train.monitor import DenoisingMonitor
from idol.train.stopping import TrainError
from idol.train.train import train
from idol.variants import VARIANTS, denoiser_class, variant_called
from idol.variants.mm_diffusion import CoupledUNets, Coupling, shifts
from shards.options import replaced
from shards.sample.clip import Clip
from tests.idol.train.micro import MODEL, clip, losses_of, micro, weights_of, write_shards

RIVALS = ("ldm3d", "mm-diffusion", "disco")

UNET, CONTROLNET, BACKGROUND, PROJECTION = 975_842_884, 416_570_560, 11_840, 786_432


def of_paper(name: str) -> DualModalDenoiser:
    settings = dataclasses.replace(preset("sd14"), **VARIANTS[name].model)
    with torch.device("meta"):
        return denoiser_class(name, "video").from_config(settings)


# docs/method.md tells what the paper prints, and why LDM3D's and MM-Diffusion's are not its.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ldm3d", UNET + CONTROLNET + BACKGROUND + PROJECTION),
        ("disco", UNET + 2 * CONTROLNET + PROJECTION),
        (
            "mm-diffusion",
            2 * (UNET + CONTROLNET + BACKGROUND) + PROJECTION + 2 * 23_774_080,
        ),
    ],
)
def test_parameters(name: str, expected: int) -> None:
    assert parameters(of_paper(name)) == expected


def test_what_coupling_adds_to_two_models() -> None:
    unet = of_paper("mm-diffusion").unet
    assert isinstance(unet, CoupledUNets)
    assert parameters(of_paper("separate-unets")) + parameters(unet.couplings) == parameters(
        of_paper("mm-diffusion")
    )


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = [clip(number) for number in range(4)]
    return write_shards(tmp_path_factory.mktemp("shards"), clips[:3], clips[3:])


@pytest.fixture(scope="module")
def codec(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec of colour and depth."""
    config = micro("autoencoder", shards, tmp_path_factory.mktemp("codec"))
    sizes = AutoencoderConfig(latent_channels=6, patch=4, width=8, blocks=1, crop=16, depth=True)
    return train(dataclasses.replace(config, autoencoder=sizes))


def configured(
    name: str,
    stage: Literal["image", "video"],
    shards: Path,
    output: Path,
    codec: Path,
    **more: Any,
) -> TrainConfig:
    model = dataclasses.replace(MODEL, prediction="noise")
    settings: dict[str, Any] = {"checkpoint_every": 2, **more}
    if name == "ldm3d":
        model = with_latents(model, read_latents(codec))
        settings["vae"] = codec
    settings["model"] = dataclasses.replace(model, **VARIANTS[name].model)
    config = micro(stage, shards, output, **settings)
    config = dataclasses.replace(config, variant=name)
    return replaced(config, variant_called(name).settings(stage))


@dataclasses.dataclass
class Half:
    """Estimates that all is half-way."""

    kind: Literal["person", "frame"] = "person"
    lost: str = ""

    def __call__(self, frames: np.ndarray, fps: float) -> np.ndarray:
        return np.full(frames.shape[:3], 0.5, np.float32)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "disco" else ()) for n in RIVALS]
)
def test_it_trains_resumes_to_the_byte_and_generates(
    name: str, shards: Path, codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"validate_every": 2, "validation_clips": 1}
    image = train(configured(name, "image", shards, tmp_path / "image", codec))
    video = configured(
        name, "video", shards, tmp_path / "whole", codec, init_from=image, **settings
    )
    whole = train(video)
    rows = losses_of(tmp_path / "whole")
    assert all(np.isfinite(row["total"]) for row in rows)
    assert ("denoise_depth" in rows[0]) == (name == "mm-diffusion")

    def stopped(self: DenoisingMonitor, done: int) -> None:
        raise KeyboardInterrupt

    again = dataclasses.replace(video, output=tmp_path / "again")
    with monkeypatch.context() as context:
        context.setattr(DenoisingMonitor, "_validate", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(again)
    assert weights_of(train(again)) == weights_of(whole)
    files = [folder / "losses.jsonl" for folder in (whole.parent, tmp_path / "again")]
    assert files[0].read_bytes() == files[1].read_bytes()

    trained, info = load_trained(whole)
    assert info.variant == name
    assert type(trained.denoiser) is denoiser_class(name, "video")
    generator = ClipGenerator.from_folder(whole, steps=2, estimate=Half())
    made = generator(conditions_of(clip(9)), 1)
    assert made.frames.shape == made.depth_pictures.shape == (3, 16, 16, 3)
    assert made.depth.shape == (3, 16, 16)
    assert (made.depth == 0.5).all() == (name == "disco")


@pytest.mark.slow
def test_a_process_that_knows_nothing_of_a_variant_loads_it(
    shards: Path, codec: Path, tmp_path: Path
) -> None:
    model = train(configured("disco", "image", shards, tmp_path, codec))
    code = "import sys; from idol.generate.loading import load_pipeline; "
    code += "print(type(load_pipeline(sys.argv[1]).controlnet).__name__)"
    told = subprocess.run(
        [sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True
    )
    assert told.stdout.split()[-1] == "DiscoControlNets"


def small(name: str, **settings: Any) -> DualModalDenoiser:
    torch.manual_seed(0)
    chosen = {"prediction": "noise", "latent_channels": 4, **VARIANTS[name].model, **settings}
    return denoiser_class(name, "video").from_config(dataclasses.replace(MODEL, **chosen)).eval()


def of_clips(*models: DualModalDenoiser) -> list[torch.Tensor]:
    inputs = example_inputs(models[0].settings, "video", frames=4, size=8, tokens=5, device="cpu")
    with torch.no_grad():
        return [model(**inputs).noise_pred_BMFCHW for model in models]


def test_uncoupled_streams_are_those_of_separate_models() -> None:
    coupled, separate = small("mm-diffusion"), small("separate-unets")
    separate.load_state_dict(
        {k: v for k, v in coupled.state_dict().items() if ".couplings." not in k}
    )
    first, second = of_clips(coupled, separate)  # a coupling starts as the identity
    assert torch.equal(first, second)


def test_coupled_streams_hear_of_each_other() -> None:
    model = small("mm-diffusion")
    for module in model.modules():
        if isinstance(module, Coupling):
            for attention in module.attentions:
                torch.nn.init.normal_(attention.to_out[0].weight, std=0.5)
    torch.nn.init.normal_(model.unet.networks[VIDEO].conv_out.weight)
    inputs = example_inputs(model.settings, "video", frames=4, size=8, tokens=5, device="cpu")
    with torch.no_grad():
        before = model(**inputs).noise_pred_BMFCHW
        inputs["latents_BMFCHW"][:, DEPTH] += 1
        after = model(**inputs).noise_pred_BMFCHW
    assert not torch.allclose(before[:, VIDEO], after[:, VIDEO])


def test_a_frame_attends_to_its_window_alone() -> None:
    torch.manual_seed(0)
    coupling = Coupling(8, 2, window=2, place=3)
    for attention in coupling.attentions:
        torch.nn.init.normal_(attention.to_out[0].weight)
    frames, timesteps = 5, torch.tensor([500])
    video, depth = torch.randn(2, frames, 8, 2, 2).unbind()
    before = coupling([video, depth], timesteps)[VIDEO]
    [shift] = shifts(timesteps, 3, frames).tolist()
    changed = depth.clone()
    changed[2] += torch.randn(8, 2, 2)
    after = coupling([video, changed], timesteps)[VIDEO]
    moved = {f for f in range(frames) if not torch.allclose(before[f], after[f])}
    assert moved == {f for f in range(frames) for k in (0, 1) if (f + shift + k) % frames == 2}


def test_shifts_differ_by_timestep_and_reach_every_frame() -> None:
    found = shifts(torch.arange(1000), 1, 8)
    assert sorted(set(found.tolist())) == [*range(8)]
    counts = torch.bincount(found, minlength=8)
    assert counts.min() > 80
    assert not torch.equal(found, shifts(torch.arange(1000), 2, 8))


def test_discos_background_comes_by_its_controlnet_alone() -> None:
    model = small("disco")
    assert not any("background_conv" in name for name in model.state_dict())
    inputs = example_inputs(model.settings, "video", frames=2, size=8, tokens=5, device="cpu")
    other = {**inputs, "background_BCHW": inputs["background_BCHW"] + 1}
    torch.nn.init.normal_(model.unet.conv_out.weight)
    with torch.no_grad():
        assert torch.equal(model(**inputs).noise_pred_BMFCHW, model(**other).noise_pred_BMFCHW)
        for module in model.controlnet.background_network.modules():
            if isinstance(module, torch.nn.Conv2d) and not module.weight.any():
                torch.nn.init.normal_(module.weight, std=0.1)
        assert not torch.equal(model(**inputs).noise_pred_BMFCHW, model(**other).noise_pred_BMFCHW)


def test_a_model_without_depth_asks_for_none(shards: Path, codec: Path, tmp_path: Path) -> None:
    model = train(configured("disco", "video", shards, tmp_path, codec))
    from idol.generate.errors import GenerationError

    with pytest.raises(GenerationError, match="who estimates it"):
        ClipGenerator.from_folder(model, steps=1, estimate=None)(conditions_of(clip(9)), 1)


def test_a_codec_that_does_not_fit_is_refused(shards: Path, codec: Path, tmp_path: Path) -> None:
    config = configured("ldm3d", "image", shards, tmp_path / "a", codec)
    with pytest.raises(TrainError, match="takes a VAE of colour and depth"):
        train(dataclasses.replace(config, vae=None))
    # Such as a file of settings may say, which goes before what the codec says.
    wrong = dataclasses.replace(config.model, latent_channels=5)
    with pytest.raises(
        TrainError, match=r"latents of 6 channels, and --model\.latent-channels is 5"
    ):
        train(dataclasses.replace(config, model=wrong))
    assert not (tmp_path / "a").exists()
    config = configured("disco", "image", shards, tmp_path / "b", codec)
    with pytest.raises(TrainError, match="the other variants one of colours"):
        train(dataclasses.replace(config, vae=codec))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RIVALS, "idol"])
def test_each_learns_and_generates_the_depth_of_the_whole_frame(
    name: str, codec: Path, tmp_path: Path
) -> None:
    """Tab. 2; the grey's sense is the data's, and a model's folder says it."""

    def whole(number: int) -> Clip:
        made = clip(number)
        told = {"depth_frame": {"grey": "near-white", "unit": "its own"}}
        ramp = np.linspace(0, 1, 16, dtype=np.float32)[None, None].repeat(16, 1).repeat(3, 0)
        return dataclasses.replace(
            made, depth_person=None, depth_frame=ramp, info={**made.info, "depth": told}
        )

    frames = write_shards(tmp_path / "shards", [whole(n) for n in range(2)], [whole(2)])
    config = configured(name, "video", frames, tmp_path / "run", codec, depth="frame", steps=2)
    folder = train(config)
    info = read_info(folder)
    if name == "disco":  # it has none
        assert info.depth == DepthMeaning()
    else:
        assert (info.depth.kind, info.depth.near_white) == ("frame", True)
    generator = ClipGenerator.from_folder(folder, steps=1, estimate=Half(kind="frame"))
    made = generator(conditions_of(clip(9)), 1)
    assert made.depth_kind == "frame"
    assert (made.depth_pictures.max(axis=-1) == made.depth_pictures.min(axis=-1)).all() == (
        name in ("disco", "ldm3d")  # the others draw three channels, and may learn grey
    )


@pytest.mark.parametrize("streams", ["coupled", "joint", "video"])
def test_what_has_no_place_in_a_model_of_such_streams_is_refused(streams: Any) -> None:
    with pytest.raises(ConfigError, match=f"streams='{streams}'"):
        dataclasses.replace(preset("sd14"), streams=streams)
