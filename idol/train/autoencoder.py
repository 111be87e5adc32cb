"""Stage autoencoder: a KL autoencoder of all pictures that a model is given and makes.

Frames, depth pictures, backgrounds with their hole and drawn skeletons; or, for LDM3D, colour and
depth in one picture (`idol.encoders.joint`). Everything random in a step is a function of the
clips' positions in the stream's order, as in the other stages.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from torch import Tensor, nn

from idol.config.autoencoder import LATENTS, Latents, factor_of
from idol.config.train import TrainConfig
from idol.config_json import write_config_json
from idol.data.datasets import Datasets
from idol.data.preparation import scale_images
from idol.diffusion.noise import Randomness
from idol.encoders import VAEModel, load_vae
from idol.encoders.autoencoder import Reconstruction, new_autoencoder, with_depth_channel
from idol.encoders.joint import JOINT_CHANNELS, joined, parted, with_farthest
from idol.encoders.vae_identity import find_vae
from idol.tensors import naming_damage, write_tensors
from idol.train.distributed import distribute, whole_state
from idol.train.monitor import Monitor
from idol.train.optimizer import MovingAverage, make_optimizer
from idol.train.run import Progress, Stepping
from idol.train.stopping import TrainError
from shards.files.atomic import atomic_folder
from shards.stream import ClipBatch
from shards.stream.random import Draws

__all__ = ["AutoencoderMonitor", "AutoencoderRun", "check_autoencoder_sources"]

_WEIGHTS = "diffusion_pytorch_model.safetensors"

# Options that name what other stages start from.
_OTHERS = ("init_from", "vae", "patch", "image_encoder", "motion_adapter", "pose_adapter")

# What a step's picture is, one of a clip: frames are the hardest, and what is looked at.
_KINDS = (*("frame",) * 5, "depth", "background", "pose")

# Clips whose pictures the linear code is of, and the scale of latents; and of a sheet.
_MEASURED, _SHOWN = 64, 6


def check_autoencoder_sources(config: TrainConfig) -> None:
    """Raise TrainError, naming every mistake, for what the stage cannot start from."""
    mistakes = []
    if config.preset == "sd14" and not config.base:
        mistakes.append("preset sd14 fine-tunes the VAE of --base: give it, or take --preset tiny")
    if config.preset == "tiny" and config.base:
        mistakes.append("--base is for preset sd14; tiny starts from fresh weights")
    mistakes += [
        f"--{name.replace('_', '-')} is nothing that stage autoencoder starts from: leave it out"
        for name in _OTHERS
        if getattr(config, name)
    ]
    if config.model.streams == "video":
        mistakes.append(
            f"variant {config.variant} has no depth, of which stage autoencoder learns too: leave "
            "--variant out, for a codec is of no variant"
        )
    TrainError.raise_if_any(mistakes, "no valid start")


@dataclasses.dataclass(frozen=True)
class AutoencoderRun(Stepping):
    """What changes while an autoencoder is trained.

    Attributes:
        network: bare; `reconstruct` runs it over all processes.
        data: of the run, of which it measures its latents in the end.
    """

    network: VAEModel
    reconstruct: nn.Module
    data: Datasets

    @classmethod
    def start(
        cls, config: TrainConfig, accelerator: Accelerator, checkpoint: Path | None, data: Datasets
    ) -> Self:
        """A fresh network, the VAE of --base, or a checkpoint's of this run."""
        torch.manual_seed(config.run.seed)
        network = _network(config, checkpoint, data).train()
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.data = tensor.data.clone()  # no map of a file, which may go while this trains
        module = Reconstruction(network.to(accelerator.device))
        names = {parameter: name for name, parameter in network.named_parameters()}
        optimizer = make_optimizer(names, config.optimizer)
        ema = config.optimizer.ema
        run = cls(
            config=config,
            accelerator=accelerator,
            names=names,
            optimizer=accelerator.prepare_optimizer(optimizer),
            average=MovingAverage(names, ema) if ema else None,
            progress=Progress(),
            network=network,
            reconstruct=distribute(accelerator, module, fsdp=False),
            data=data,
        )
        if checkpoint is not None:
            run.load(checkpoint)
        return run

    @property
    def modules(self) -> Sequence[nn.Module]:
        """The one network."""
        return [self.reconstruct]

    # As Stable Diffusion's first stage, without its adversary and perceptual loss.
    def pass_losses(
        self, clips: ClipBatch, *, gradient_norms: bool
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        """The mean squared error of pictures, and the divergence of their posterior."""
        config = self.config.autoencoder
        random = Randomness(self.config.run.seed)
        pixels = self._squares(clips)
        side = pixels.shape[-1] // self._factor
        shape = (self.network.config["latent_channels"], side, side)
        noise = random.normal("posterior-picture", clips.positions, shape).to(pixels)
        with self.accelerator.autocast():
            made, mean, logvar = self.reconstruct(pixels, noise)
        error = (made.float() - pixels).square().mean()
        mean, logvar = mean.float(), logvar.float()
        divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(dim=(1, 2, 3)).mean()
        total = error + config.kl_weight * divergence / pixels[0].numel()
        named = {"total": total, "reconstruction": error, "divergence": divergence}
        return total, {name: value.detach() for name, value in named.items()}, {}

    def pictures(self, clips: ClipBatch) -> dict[str, Tensor]:
        """The clips' first frames, as `_pictures` gives them, where the network is."""
        kinds = _pictures(clips, self.config)
        return {kind: given.to(self.accelerator.device) for kind, given in kinds.items()}

    def save_final(self, folder: Path) -> None:
        """Write the autoencoder, its average if there is one: its latents of unit deviation."""
        weights = self._final_weights()
        if self.accelerator.is_main_process:
            self.network.load_state_dict(weights)
            self.network.eval()
            with atomic_folder(folder) as unfinished:
                self._measure(unfinished)
                self._write(unfinished, weights)
        self.accelerator.wait_for_everyone()

    @property
    def _factor(self) -> int:
        return factor_of(self.network.config)

    @property
    def _holds_depth(self) -> bool:
        return self.config.autoencoder.depth

    def _squares(self, clips: ClipBatch) -> Tensor:
        """A random square of one picture of each clip, (B, C, crop, crop)."""
        size = self.config.data.size
        crop = min(self.config.autoencoder.crop, size)
        pictures = self.pictures(clips)
        squares = []
        for number, position in enumerate(clips.positions):
            draws = Draws(self.config.run.seed, "picture", position)
            kind = _KINDS[draws.integer(0, len(_KINDS) - 1)]
            top, left = (draws.integer(0, size - crop) for _ in range(2))
            picture = pictures.get(kind, pictures["frame"])[number]
            squares.append(picture[:, top : top + crop, left : left + crop])
        return torch.stack(squares)

    @torch.no_grad()
    def _measure(self, folder: Path) -> None:
        """Set the scale that gives latents a deviation of 1, and write what they are like."""
        given, origin, content = [], [], []
        white = None
        for clips in self.data.first_clips("train", _MEASURED):
            pictures = self.pictures(clips)
            frame, background = self._modes(pictures["frame"]), self._modes(pictures["background"])
            given.append(frame)
            origin.append(background)
            content.append(frame)
            white = self._modes(torch.ones_like(pictures["frame"][:1]))
            if "depth" in pictures:
                depth = self._modes(pictures["depth"])
                given.append(depth)
                origin.append(white.expand_as(depth))
                content.append(depth)
        assert white is not None
        latents, origins = torch.cat(given), torch.cat(origin)
        scale = 1 / float(torch.cat(content).std())
        self.network.register_to_config(scaling_factor=scale)
        change = (latents - origins) * scale
        psnr = self.psnr("val") if not self.data.without_val else {}
        told = Latents(
            spread=(*change.square().mean(dim=(0, 2, 3)).sqrt().tolist(),),
            far=(*(white.mean(dim=(0, 2, 3)) * scale).tolist(),),
            depth=self._holds_depth,
            psnr=psnr,
            size=self.config.data.size,
            pictures=len(latents),
            step=self.progress.step,
        )
        (folder / LATENTS).write_text(json.dumps(told.as_json(), indent=2) + "\n")

    @torch.no_grad()
    def psnr(self, split: str) -> dict[str, float]:
        """The mean PSNR of a split's first pictures in dB, in 8 bits, by their kind."""
        values: dict[str, list[Tensor]] = {}
        for _, kinds in self._reconstructed(split, self.config.report.validation_clips):
            for kind, (pictures, made) in kinds.items():
                values.setdefault(kind, []).append(_psnr(pictures, made))
        return {kind: float(torch.cat(parts).mean()) for kind, parts in values.items()}

    def _reconstructed(
        self, split: str, count: int
    ) -> Iterator[tuple[ClipBatch, dict[str, tuple[Tensor, Tensor]]]]:
        for clips in self.data.first_clips(split, count):
            pictures = self.pictures(clips)
            made = {kind: self._decoded(self._modes(given)) for kind, given in pictures.items()}
            yield clips, {kind: (pictures[kind], made[kind]) for kind in pictures}

    def _modes(self, pixels_NCHW: Tensor) -> Tensor:
        mode = self.network.encode(pixels_NCHW).latent_dist.mode()
        assert isinstance(mode, Tensor)
        return mode

    def _decoded(self, latents_NCHW: Tensor) -> Tensor:
        made = self.network.decode(latents_NCHW).sample
        assert isinstance(made, Tensor)
        return made

    def _weights(self) -> dict[str, Tensor]:
        return whole_state(self.network.state_dict())

    def _write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        write_config_json(self.network, folder)
        write_tensors(folder / _WEIGHTS, weights)


class AutoencoderMonitor(Monitor[AutoencoderRun]):
    """PSNR of held-out pictures, and a sheet of them: above as they are, below as decoded."""

    def _validate(self, step: int) -> None:
        if self._log is not None:
            values = self._run.psnr("val")
            self._log.validation(step, {f"psnr_{kind}": value for kind, value in values.items()})

    @torch.no_grad()
    def _sample(self, step: int) -> None:
        if self._log is None:
            return
        split = "val" if self._validates else "train"
        sheets = {}
        for clips, kinds in self._run._reconstructed(split, _SHOWN):
            for number, key in enumerate(clips.key):
                columns = [
                    np.concatenate([_uint8(picture[number]), _uint8(made[number])])
                    for pair in kinds.values()
                    for picture, made in [_shown(*pair)]
                ]
                sheets[key] = np.concatenate(columns, axis=1)
        self._log.images(step, {"autoencoder": np.concatenate([*sheets.values()])})


def _pictures(clips: ClipBatch, config: TrainConfig) -> dict[str, Tensor]:
    """The clips' first frames as a network takes them, (B, C, H, W) in [-1, 1], by kind.

    `frame`, `background` and `pose`; and `depth`, unless it is in the frames' fourth channel.
    """

    def scaled(images_BFHWC: Tensor) -> Tensor:
        return scale_images(images_BFHWC[:, 0], config.data.size)

    frame, depth, pose = scaled(clips.rgb), scaled(clips.depth), scaled(clips.pose)
    background = scaled(clips.background[:, None])
    if not config.autoencoder.depth:
        return {"frame": frame, "depth": depth, "background": background, "pose": pose}
    return {
        "frame": joined(frame, depth),
        "background": with_farthest(background),
        "pose": with_farthest(pose),
    }


def _first_pictures(config: TrainConfig, data: Datasets) -> Tensor:
    """Of clips to train on, as often of each kind as steps take them."""
    pictures = []
    for clips in data.first_clips("train", _MEASURED):
        kinds = _pictures(clips, config)
        pictures += [kinds.get(kind, kinds["frame"]) for kind in _KINDS]
    return torch.cat(pictures)


def _network(config: TrainConfig, checkpoint: Path | None, data: Datasets) -> VAEModel:
    if checkpoint is not None:
        return load_vae(checkpoint / "model")
    if config.base is None:
        return new_autoencoder(config.autoencoder, _first_pictures(config, data))
    with naming_damage(folder := find_vae(config.base)):
        network = AutoencoderKL.from_pretrained(folder)
    if network.config["in_channels"] == JOINT_CHANNELS and not config.autoencoder.depth:
        raise TrainError(f"the VAE of --base {config.base} holds depth: give --autoencoder.depth")
    widens = config.autoencoder.depth and network.config["in_channels"] != JOINT_CHANNELS
    return with_depth_channel(network) if widens else network


def _psnr(pictures_NCHW: Tensor, made_NCHW: Tensor) -> Tensor:
    """Of each picture, (N,), both rounded to 8 bits."""
    errors = _rounded(pictures_NCHW) - _rounded(made_NCHW)
    mean = errors.square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255**2 / mean.clamp(min=1e-3))


def _rounded(pixels: Tensor) -> Tensor:
    return ((pixels.float().clamp(-1, 1) + 1) * 127.5).round()


def _shown(*pictures: Tensor) -> list[Tensor]:
    """As three channels: of colour and depth together, one picture above the other."""
    return [
        torch.cat(parted(picture, "grey"), dim=2) if picture.shape[1] > 3 else picture
        for picture in pictures
    ]


def _uint8(picture_CHW: Tensor) -> np.ndarray:
    return _rounded(picture_CHW).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
