"""A run as it is in memory: model, optimizer, average and progress; saved and loaded as one."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from idol.checkpoint import Checkpoints
from idol.config.train import TrainConfig
from idol.data.preparation import Preparation
from idol.generate.folder import write_index
from idol.model import DenoiserOutput
from idol.model_info import DepthMeaning, ModelInfo
from idol.saved import Trained, digest, frozen_digests, write_frozen, write_model
from idol.tensors import read_tensors, write_tensors
from idol.train.cached_latents import frozen_latents
from idol.train.card import CARD
from idol.train.distributed import (
    by_autocast,
    distribute,
    free_memory,
    whole,
    whole_state,
)
from idol.train.graph import takes_graphs
from idol.train.half import run_in_half
from idol.train.initialize import build, teacher_of
from idol.train.optimizer import (
    MovingAverage,
    load_optimizer_state,
    make_optimizer,
    optimizer_state,
)
from idol.train.resume import STATE, check_frozen
from shards.files.atomic import atomic_folder

__all__ = ["Progress", "Run", "Stepping"]

_DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclasses.dataclass
class Progress:
    """How far a run is.

    Attributes:
        step: steps done.
        skipped, skipped_in_row: how many of them were skipped, in all and just now.
        saved: the step of the newest checkpoint; 0 if there is none.
    """

    step: int = 0
    skipped: int = 0
    skipped_in_row: int = 0
    saved: int = 0

    @property
    def needs_saving(self) -> bool:
        """Whether there is no checkpoint with these weights."""
        return not self.saved or self.step - self.saved > self.skipped_in_row

    def count(self, *, taken: bool) -> None:
        """Count a step that was taken, or skipped."""
        self.step += 1
        self.skipped += not taken
        self.skipped_in_row = 0 if taken else self.skipped_in_row + 1


@dataclasses.dataclass(frozen=True)
class Stepping:
    """What every stage changes step by step: trained parameters, optimizer, average, progress.

    Attributes:
        names: the trained parameters and what checkpoints call them.
    """

    config: TrainConfig
    accelerator: Accelerator
    names: dict[nn.Parameter, str]
    optimizer: Any
    average: MovingAverage | None
    progress: Progress

    @property
    def modules(self) -> Sequence[nn.Module]:
        """Those whose gradients are averaged over processes."""
        raise NotImplementedError

    def measures_gradients(self, step: int) -> bool:
        """Whether the consistency losses' gradients at the features are due."""
        return False

    def clip_gradients(self) -> Tensor:
        """Scale the gradient down to the largest norm allowed, if any; its norm before, float32."""
        self.accelerator.unscale_gradients()
        largest = self.config.optimizer.clip or math.inf
        norm = nn.utils.clip_grad_norm_([*self.names], largest)
        return whole(norm).float()

    def take_step(self, learning_rate: float, *, finite: bool) -> None:
        """Change the weights, unless something was not finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        # The scaler of half precision finds overflow itself, and must see it to scale less.
        if finite or self.accelerator.scaler is not None:
            self.optimizer.step()
        if finite and self.average is not None:
            self.average.update()
        self.optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def saved_on(
        self, kinds: tuple[type[Exception], ...], checkpoints: Checkpoints
    ) -> Iterator[None]:
        """Write a checkpoint of the last step on an error of these kinds, and raise it.

        Of several processes an error stops but one, and the others cannot be asked.
        """
        try:
            yield
        except kinds:
            if self.accelerator.num_processes == 1 and self.progress.step > self.progress.saved:
                self.save(checkpoints)
            raise

    def save(self, checkpoints: Checkpoints) -> None:
        """Write a checkpoint of this step; every process must ask, the first one writes."""
        self.progress.saved = self.progress.step
        if self._gathers:
            weights = self._weights()
            tensors, numbers = optimizer_state(self.optimizer.optimizer, self.names)
            average = self.average.state() if self.average else None
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {
                **dataclasses.asdict(self.progress),
                "optimizer": numbers,
                "scaler": scaler.state_dict() if scaler else None,
                "frozen": self._frozen(),
            }

            def fill(folder: Path) -> None:
                self._write(folder / "model", weights)
                write_tensors(folder / "optimizer.safetensors", tensors)
                if average is not None:
                    write_tensors(folder / "average.safetensors", average)
                (folder / STATE).write_text(json.dumps(state, indent=2) + "\n")

            checkpoints.write(self.progress.step, fill)
        self.accelerator.wait_for_everyone()

    def load(self, checkpoint: Path) -> None:
        """Go on from a checkpoint of this run, whose weights are loaded already."""
        state = json.loads((checkpoint / STATE).read_bytes())
        check_frozen(state["frozen"], self._frozen())
        for field in dataclasses.fields(Progress):
            setattr(self.progress, field.name, state[field.name])
        tensors = read_tensors(checkpoint / "optimizer.safetensors")
        load_optimizer_state(self.optimizer.optimizer, self.names, tensors, state["optimizer"])
        if self.average:
            self.average.load(read_tensors(checkpoint / "average.safetensors"))
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    @property
    def _gathers(self) -> bool:
        # The whole state takes gigabytes of memory: only who writes has it, or who holds a part.
        return self.accelerator.is_main_process or self.config.run.fsdp

    def _final_weights(self) -> dict[str, Tensor]:
        """Those that the stage ends with: the average, if there is one."""
        return self._weights() | (self.average.state() if self.average else {})

    def _weights(self) -> dict[str, Tensor]:
        """Whole tensors on the CPU, by the names of checkpoints."""
        raise NotImplementedError

    def _write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the model into a new folder."""
        raise NotImplementedError

    def _frozen(self) -> dict[str, str]:
        """Digests of the networks that are not trained."""
        return {}


@dataclasses.dataclass(frozen=True)
class Run(Stepping):
    """Everything that changes while the denoiser is trained, and what it is made of.

    Attributes:
        trained: the bare model; `denoiser` and `image_encoder` run it over all processes.
        frozen: digests of the networks that are not trained.
        depth: what the depth that it learns means.
        teacher: of stage distill, frozen; no part of what is saved.
        graphs: whether passes are recorded as CUDA graphs.
    """

    trained: Trained
    denoiser: nn.Module
    image_encoder: Any
    frozen: dict[str, str]
    depth: DepthMeaning
    teacher: nn.Module | None = None
    graphs: bool = False

    @classmethod
    def start(
        cls,
        config: TrainConfig,
        accelerator: Accelerator,
        checkpoint: Path | None,
        depth: DepthMeaning,
    ) -> Self:
        """Build what the stage starts from, or resume from a checkpoint of this run."""
        free, processes = free_memory(accelerator), accelerator.num_processes
        trained = build(config, checkpoint)
        frozen, teacher = frozen_digests(trained), None
        if config.data.latents:
            frozen |= frozen_latents(config)
        if config.stage == "distill":
            teacher = teacher_of(config)
            frozen["teacher"] = digest(teacher)
            teacher.to(accelerator.device)
        trained.to(accelerator.device, _DTYPES[config.run.mixed_precision])
        if accelerator.device.type in ("cuda", "cpu") and not config.run.fsdp:
            # Tokens then lie as attention takes them, and no layer copies feature maps for it.
            trained.denoiser.to(memory_format=torch.channels_last)
        if config.run.gradient_checkpointing:
            trained.denoiser.enable_gradient_checkpointing()
        if config.run.compile:
            trained.denoiser.compile_repeated_blocks()
        fsdp = config.run.fsdp
        if not by_autocast(config):
            run_in_half(trained.denoiser, _DTYPES[config.run.mixed_precision])
        denoiser = distribute(accelerator, trained.denoiser, fsdp=fsdp)
        encoder: Any = trained.image_encoder
        if isinstance(encoder, nn.Module):
            encoder = distribute(accelerator, encoder, fsdp=fsdp)
        # After FSDP, for it puts others in place of the parameters.
        names = {p: name for name, p in _parameters(trained) if p.requires_grad}
        optimizer = make_optimizer(names, config.optimizer)
        ema = config.optimizer.ema
        run = cls(
            config=config,
            accelerator=accelerator,
            trained=trained,
            denoiser=denoiser,
            image_encoder=encoder,
            names=names,
            optimizer=accelerator.prepare_optimizer(optimizer),
            average=MovingAverage(names, ema) if ema else None,
            progress=Progress(),
            frozen=frozen,
            depth=depth,
            teacher=teacher,
            graphs=takes_graphs(config, processes, free),
        )
        if checkpoint is not None:
            run.load(checkpoint)
        return run

    @property
    def prepare(self) -> Preparation:
        """How clips become latents in training."""
        return Preparation.of(self.config, self.trained.codec, self.image_encoder)

    @property
    def modules(self) -> Sequence[nn.Module]:
        """Those whose gradients are averaged over processes."""
        both = (self.denoiser, self.image_encoder)
        return [module for module in both if isinstance(module, nn.Module)]

    def denoise(self, *inputs: Any, **options: Any) -> DenoiserOutput:
        """Run the denoiser over all processes, in the precision asked for."""
        with self.accelerator.autocast():
            return self.denoiser(*inputs, **options)

    @contextmanager
    def evaluating(self) -> Iterator[tuple[nn.Module, Preparation]]:
        """The bare denoiser, and how clips become latents, in the precision asked for."""
        prepare = dataclasses.replace(self.prepare, encode_image=self.trained.image_encoder)
        with self.accelerator.autocast():
            yield self.trained.denoiser, prepare

    def measures_gradients(self, step: int) -> bool:
        """Whether the consistency losses' gradients at the features are due."""
        # Half-way backward passes are not for divided weights.
        every = self.config.report.gradient_norms_every
        joint = self.config.stage not in ("pretrain", "distill") and not self.config.run.fsdp
        return joint and every > 0 and step % every == 0

    def save_final(self, folder: Path, card: Callable[[ModelInfo], str]) -> None:
        """Write the model, its average if there is one, as the folder of a pipeline, with the card
        that `card` writes of it."""
        if self._gathers:
            weights = self._final_weights()
        if self.accelerator.is_main_process:
            with atomic_folder(folder) as unfinished:
                config, info = (
                    self.config,
                    dataclasses.replace(self._info(), vae=None, image_encoder=None),
                )
                write_model(unfinished, self.trained, weights, info)
                write_frozen(unfinished, info, config.vae, config.image_encoder)
                write_index(unfinished, info)
                (unfinished / CARD).write_text(card(info), encoding="utf-8")
        self.accelerator.wait_for_everyone()

    def _weights(self) -> dict[str, Tensor]:
        return whole_state(_state_of(self.trained))

    def _write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        write_model(folder, self.trained, weights, self._info())

    def _frozen(self) -> dict[str, str]:
        return self.frozen

    def _info(self) -> ModelInfo:
        config = self.config
        return ModelInfo(
            stage=config.stage,
            preset=config.preset,
            variant=config.variant,
            settings=config.model,
            size=config.data.size,
            frames=config.frames,
            step=self.progress.step,
            depth=self.depth,
            distilled=config.distill.told if config.stage == "distill" else None,
            vae_factor=self.trained.codec.factor,
            vae=str(config.vae) if config.vae else None,
            image_encoder=str(config.image_encoder) if config.image_encoder else None,
        )


def _modules_of(trained: Trained) -> dict[str, nn.Module]:
    parts = {"denoiser.": trained.denoiser, "image_encoder.": trained.image_encoder}
    return {prefix: part for prefix, part in parts.items() if isinstance(part, nn.Module)}


def _parameters(trained: Trained) -> list[tuple[str, nn.Parameter]]:
    return [
        (prefix + name, parameter)
        for prefix, module in _modules_of(trained).items()
        for name, parameter in module.named_parameters()
    ]


def _state_of(trained: Trained) -> dict[str, Tensor]:
    return {
        prefix + name: tensor
        for prefix, module in _modules_of(trained).items()
        for name, tensor in module.state_dict().items()
    }
