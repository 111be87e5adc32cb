"""`IdolPipeline`: from a person, a background and poses to frames with depth (paper, sec. 3).

A diffusers pipeline; its folder is what `idol-train` leaves. Shape suffixes: `idol.model.layout`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection

from idol.config.model import DEPTH, VIDEO
from idol.data.preparation import scale_images
from idol.diffusion.conditions import Conditions
from idol.diffusion.sampling import guided_noise, set_timesteps, step_options
from idol.diffusion.schedulers import name_of
from idol.encoders import (
    CLIPEncoder,
    ImageEncoder,
    LatentCodec,
    PatchCodec,
    TinyEncoder,
    VAECodec,
    VAEModel,
)
from idol.generate.call_checks import call_mistakes, guidance_mistakes
from idol.generate.depth import colour_map, depth_of, metres_of
from idol.generate.errors import GenerationError
from idol.generate.folder import complete_folder
from idol.generate.given import GivenClip, check_shape, given_clips
from idol.generate.pictures import Picture, pad_to_square
from idol.generate.placement import PlacedPipeline
from idol.generate.posing import posed_frames
from idol.generate.windows import Windows, fuse
from idol.model import DualModalDenoiser, DualModalUNet, ForegroundProjection, PoseControlNet
from idol.model.saving import ConfiguredModel
from idol.model_info import DepthMeaning, ModelInfo, sampling_by
from idol.tensors import into_memory, naming_damage
from idol.variants import denoiser_class
from idol.variants.ldm3d import decode_both, holds_depth
from shards.stream.foreground import holed

__all__ = ["IdolPipeline", "IdolPipelineOutput", "OutputType"]

OutputType = Literal["pil", "np", "pt", "latent"]

_SLICE = 8  # images that pass through the VAE at a time
_POSITIONS_AT_ONCE = 30_000  # of latents: all of a clip's windows of preset tiny, one of sd14's


@dataclass
class IdolPipelineOutput(BaseOutput):
    """B clips of F frames; in "pil" a list of lists, in "np" arrays, in "pt" tensors.

    Attributes:
        frames: (B, F, H, W, 3) in [0, 1]; "pt": (B, F, 3, H, W); "latent": the latents of both
            streams (B, M, F, C, H', W'), and nothing else is given.
        prediction: depth (B, F, H, W) float32 in [0, 1], 0 near; see `IdolPipeline.depth`.
        uncertainty: (B, F, H, W) float32 in [0, 1]: how far the colour of the depth stream is from
            those that mean a depth; 1 - `confidence`.
        depth_colored: the depth stream as generated, shaped like the frames.
        metres: (B, F, H, W) float32, NaN in the background; None where depth is relative.
        latent: the latents of both streams.
    """

    frames: Any
    prediction: Any = None
    uncertainty: Any = None
    depth_colored: Any = None
    metres: Any = None
    latent: Tensor | None = None

    @property
    def confidence(self) -> Any:
        """How far each depth can be believed, (B, F, H, W) in [0, 1]."""
        return None if self.uncertainty is None else 1 - self.uncertainty


class IdolPipeline(PlacedPipeline):
    """Generates a video of a person and its depth, in one denoising of both streams.

    ```python
    pipe = IdolPipeline.from_pretrained("runs/video/model").to("cuda")
    output = pipe(person, place, skeletons, foreground_mask=mask, background_mask=hole)
    output.frames[0], output.prediction[0]  # PIL images, and their depth
    ```

    Args:
        unet, controlnet, foreground_projection: the model.
        image_encoder: CLIP, or that of preset tiny.
        vae: of images and depth pictures alike, or the patches of preset tiny.
        scheduler: any of diffusers' for predictions of noise.
        info: content of the model's `idol.json`; None if nothing is known of it.
    """

    model_cpu_offload_seq = "image_encoder->foreground_projection->controlnet->unet->vae"
    _callback_tensor_inputs = ["latents", "noise_pred"]  # noqa: RUF012

    unet: DualModalUNet
    controlnet: PoseControlNet
    foreground_projection: ForegroundProjection
    image_encoder: Any
    vae: Any
    scheduler: Any

    def __init__(
        self,
        unet: ConfiguredModel,
        controlnet: ConfiguredModel,
        foreground_projection: ForegroundProjection,
        image_encoder: CLIPVisionModelWithProjection | TinyEncoder,
        vae: VAEModel | PatchCodec,
        scheduler: SchedulerMixin,
        info: dict | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            unet=unet,
            controlnet=controlnet,
            foreground_projection=foreground_projection,
            image_encoder=image_encoder,
            vae=vae,
            scheduler=scheduler,
        )
        self.register_to_config(info=info)
        channels, wanted = self._codec().channels, unet.settings.latent_channels
        if channels != wanted:
            raise GenerationError(
                f"the VAE gives latents of {channels} channels, and the model takes {wanted}: "
                "take the VAE that it was trained with"
            )
        # torch's attention layer reads its weights past the hooks that would fetch them.
        self._exclude_from_cpu_offload = (
            ["image_encoder"] if isinstance(image_encoder, TinyEncoder) else []
        )
        self.vae_scale_factor = self._codec().factor
        factor = self.info.vae_factor if self.info else None
        if factor not in (None, self.vae_scale_factor):
            raise GenerationError(
                f"the VAE makes images {self.vae_scale_factor} times smaller, and the model was "
                f"trained with one that makes them {factor} times smaller: take that one"
            )
        self._guidance_scale = 1.0
        self._num_timesteps = 0
        self._interrupt = False

    @property
    def components(self) -> dict[str, Any]:
        """The parts, and `info`: what `IdolPipeline(**pipe.components)` takes."""
        return {**super().components, "info": self.config["info"]}

    @property
    def parameters(self) -> dict[str, Any]:
        """What may be given beside `components`: nothing, for `info` is among them."""
        return {}

    @property
    def info(self) -> ModelInfo | None:
        """What is known of the model: its stage, sizes, and what its depth means."""
        content = self.config["info"]
        return None if content is None else ModelInfo.from_json(content, "model_index.json")

    @property
    def depth(self) -> DepthMeaning:
        """What generated depth means: whose it is, relative or in which unit."""
        return self.info.depth if self.info else DepthMeaning()

    @property
    def size(self) -> int:
        """Height and width of generated images unless others are asked for: the trained ones."""
        return self.info.size if self.info else 32 * self.vae_scale_factor

    @property
    def latent_bound(self) -> float | None:
        """What no value of an image's latent exceeds; None if there is no such bound."""
        return self._codec().bound

    @property
    def guidance_scale(self) -> float:
        """Of the call that runs, or the last one."""
        return self._guidance_scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the foreground is amplified, for twice the work."""
        return self._guidance_scale != 1

    @property
    def num_timesteps(self) -> int:
        """Steps of the call that runs, or the last one."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Whether the rest of the steps is left out; a callback sets `_interrupt`."""
        return self._interrupt

    @torch.no_grad()
    def __call__(
        self,
        foreground: Picture | list[Picture],
        background: Picture | list[Picture],
        poses: Sequence[Any] | np.ndarray | Tensor,
        *,
        foreground_mask: Picture | list[Picture] | None = None,
        background_mask: Picture | list[Picture] | None = None,
        foreground_joints: np.ndarray | list[np.ndarray] | None = None,
        joints: np.ndarray | list[np.ndarray] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        temperature: float = 1.0,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        first_step: int = 0,
        output_type: OutputType = "pil",
        windows: Windows | None = None,
        low_memory: bool = False,
        callback_on_step_end: Callable[..., dict[str, Any]]
        | PipelineCallback
        | MultiPipelineCallbacks
        | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        return_dict: bool = True,
    ) -> IdolPipelineOutput | tuple[Any, ...]:
        """Generate a clip, or with lists of everything a batch of clips.

        Args:
            foreground: the person, in a crop that shows them whole.
            background: the place, of the frames' shape; it is seen under them pixel by pixel.
            poses: a drawn skeleton a frame, on black: images of one size, or (F, H, W, 3).
            foreground_mask: 255 (or 1) where the person is; unless given, the image's alpha, else
                all of it.
            background_mask: where the background is a hole, under the person or beyond a photo;
                unless given, where its alpha is 0, else nowhere.
            foreground_joints, joints: (18, 3) in pixels of the foreground, and (F, 18, 3) in pixels
                of `poses`: x, y and a score of the joints of `shards.sample.keypoints.COCO_18`. A
                model with `posed_foreground` lays the person over the background by them; without
                them it is given the background alone, and others ignore them.
            height, width: of the frames; unless given, those that the model was trained with.
            num_inference_steps: denoising steps; unless given 50, but by UniPC and DPM-Solver++ 10.
                For models of preset tiny 50 by DDIM and 2 by any other scheduler, 1 with a posed
                foreground; for a distilled model 4.
            guidance_scale: weight of the foreground; 1 is none, and half the work. Unless given
                1.5, and 1 for models of preset tiny; a distilled model has it in it, and takes
                none.
            temperature: deviation of the noise to start from, where none is given in `latents`.
            eta: noise that DDIM adds at each step, 0 to 1; other schedulers ignore it.
            generator: on the CPU, for the same noise on every device.
            latents: noise to start from, (B, M, F, C, H', W') standard normal, M two, or one where
                the model has one stream (`ldm3d`, `disco`); or, with `first_step`, what an
                interrupted call had after so many steps.
            first_step: leave out so many steps. Exact for schedulers without a memory (DDIM).
            output_type: see `IdolPipelineOutput`.
            windows: pass longer videos through the model in windows; None: all frames at once.
            low_memory: both halves of guidance one after the other, images one by one through the
                VAE: the same but for rounding, in about half the memory, and somewhat slower.
            callback_on_step_end: called with (pipeline, step, timestep, tensors) after each step.
                It may return other `latents`, and set the pipeline's `_guidance_scale` for the
                steps to come: 1 ends guidance, and 0 leaves the foreground out.
            callback_on_step_end_tensor_inputs: of `latents` and `noise_pred`.
            return_dict: False returns a plain tuple, frames first.

        Raises:
            GenerationError: what was given does not fit together, or is not this model's.
        """
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            callback_on_step_end_tensor_inputs = callback_on_step_end.tensor_inputs
        height = self.size if height is None else height
        width = self.size if width is None else width
        distilled = self.info is not None and self.info.distilled
        own = sampling_by(self.info, scheduler=None if distilled else name_of(self.scheduler))
        if num_inference_steps is None:
            num_inference_steps = own.steps
        if guidance_scale is None:
            guidance_scale = own.guidance
        self.check_inputs(
            height=height,
            width=width,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            temperature=temperature,
            eta=eta,
            first_step=first_step,
            latents=latents,
            output_type=output_type,
            windows=windows,
            callback_on_step_end_tensor_inputs=callback_on_step_end_tensor_inputs,
        )
        self._guidance_scale, self._interrupt = guidance_scale, False
        device = self._execution_device
        clips = given_clips(
            foreground, foreground_mask, background, background_mask, poses,
            foreground_joints, joints,
        )  # fmt: skip
        if isinstance(generator, list) and len(generator) != len(clips):
            raise GenerationError(f"{len(generator)} generators for {len(clips)} clips")
        conditions = self.encode_conditions(clips, height, width, low_memory=low_memory)
        frames = len(clips[0].poses)
        latents = self.prepare_latents(
            len(clips), frames, height, width, device, generator, latents,
            first_step=first_step, temperature=temperature,
        )  # fmt: skip
        timesteps = self._set_timesteps(num_inference_steps, device)
        self._num_timesteps = len(timesteps)
        options = step_options(self.scheduler, generator, eta)
        denoiser = self._denoiser(low_memory=low_memory)
        windows = self._windows(windows, frames)
        at_once = 1 if low_memory else self._windows_at_once(latents, windows)

        with self.progress_bar(total=len(timesteps)) as progress:
            for step, timestep in enumerate(timesteps):
                if step < first_step or self._interrupt:
                    progress.update()
                    continue
                model_input = self.scheduler.scale_model_input(latents, timestep)
                # The model knows whole timesteps alone, and some schedulers step between them.
                timesteps_B = timestep.round().long().expand(len(clips))

                def predict_windows(
                    parts: list[slice], model_input: Tensor = model_input, at: Tensor = timesteps_B
                ) -> tuple[Tensor, ...]:
                    inputs = [model_input[:, :, part] for part in parts]
                    several = torch.cat(inputs) if len(parts) > 1 else inputs[0]
                    return guided_noise(
                        denoiser,
                        several.to(self.unet.dtype),
                        at.repeat(len(parts)) if len(parts) > 1 else at,
                        conditions.of_windows(parts),
                        guidance=self._guidance_scale,
                        modalities=self.unet.settings.modalities,
                        apart=low_memory,
                    ).chunk(len(parts))

                noise_pred = fuse(predict_windows, latents, step, windows, at_once=at_once)
                latents = self.scheduler.step(noise_pred, timestep, latents, **options)[0]
                if callback_on_step_end is not None:
                    tensors = {"latents": latents, "noise_pred": noise_pred}
                    given = {name: tensors[name] for name in callback_on_step_end_tensor_inputs}
                    changed = callback_on_step_end(self, step, timestep, given)
                    latents = (changed or {}).get("latents", latents)
                    mistakes = guidance_mistakes(self._guidance_scale, self.info)
                    GenerationError.raise_if_any(
                        mistakes, "callback_on_step_end set what cannot be"
                    )
                progress.update()

        output = self._output(latents, output_type, low_memory=low_memory)
        self.maybe_free_model_hooks()
        return output if return_dict else output.to_tuple()

    def _windows_at_once(self, latents_BMFCHW: Tensor, windows: Windows) -> int:
        """On a CPU as many as give its cores enough to do in each layer; elsewhere one.

        The same but for rounding.
        """
        if latents_BMFCHW.device.type != "cpu":
            return 1
        clips, modalities, _, _, height, width = latents_BMFCHW.shape
        positions = clips * modalities * windows.length * height * width
        return max(1, _POSITIONS_AT_ONCE // positions)

    def check_inputs(self, **call: Any) -> None:
        """Raise GenerationError with everything that is wrong with a call's numbers and names."""
        mistakes = call_mistakes(
            self.info,
            self.scheduler,
            multiple=self.vae_scale_factor * 2 ** (len(self.unet.settings.block_out_channels) - 1),
            bound=self.latent_bound,
            output_types=get_args(OutputType),
            tensors=self._callback_tensor_inputs,
            **call,
        )
        GenerationError.raise_if_any(mistakes, "this call cannot run")

    def encode_conditions(
        self, clips: Sequence[GivenClip], height: int, width: int, *, low_memory: bool = False
    ) -> Conditions:
        """Foreground tokens, background and pose latents of clips, as in training."""
        device, dtype = self._execution_device, self.unet.dtype
        encode: ImageEncoder = (
            self.image_encoder
            if isinstance(self.image_encoder, TinyEncoder)
            else CLIPEncoder(self.image_encoder)
        )
        tokens, without = [], []
        for clip in clips:
            arrays = pad_to_square(clip.foreground, clip.foreground_mask)
            image, mask = (torch.from_numpy(array)[None].to(device) for array in arrays)
            tokens.append(encode(image, mask))
            if self.unet.settings.unconditional == "zeroed_image":
                without.append(encode(image, torch.zeros_like(mask)))
        codec, images_at_once = self._codec(low_memory), _at_once(low_memory)

        def encoded(images_NHWC: np.ndarray) -> Tensor:
            pieces = np.array_split(images_NHWC, -(-len(images_NHWC) // images_at_once))
            pixels = (scale_images(piece, (height, width)).to(device) for piece in pieces)
            return torch.cat([codec.encode(piece).to(dtype) for piece in pixels])

        settings = self.unet.settings
        backgrounds, posed, depths, hole = [], [], [], settings.background_hole
        for clip in clips:
            check_shape(clip.background.shape, height, width, "background")
            check_shape(clip.poses.shape[1:], height, width, "poses")
            background = holed(clip.background, clip.background_mask, hole)
            backgrounds.append(encoded(background[None]))
            if settings.posed_foreground:
                deep = settings.posed_depth
                laid = posed_frames(clip, background, height, width, with_depth=deep)
                nobody = backgrounds[-1].expand(len(clip.poses), -1, -1, -1)
                posed.append(nobody if laid is None else encoded(laid[0]))
                if deep and laid is None:
                    white = np.full((1, height, width, 3), 255, np.uint8)
                    depths.append(encoded(white).expand_as(nobody))
                elif laid is not None and laid[1] is not None:
                    depths.append(encoded(laid[1]))
        if settings.pose_control == "t2i_adapter":
            images = [scale_images(clip.poses, (height, width)) for clip in clips]
            poses = torch.stack(images).to(device, dtype)
        else:
            poses = torch.stack([encoded(clip.poses) for clip in clips])
        self._offload("vae")
        return Conditions(
            torch.cat(tokens).to(dtype),
            torch.cat(backgrounds),
            poses,
            torch.cat(without).to(dtype) if without else None,
            torch.stack(posed) if posed else None,
            torch.stack(depths) if depths else None,
        )

    def prepare_latents(
        self,
        clips: int,
        frames: int,
        height: int,
        width: int,
        device: torch.device,
        generator: torch.Generator | list[torch.Generator] | None,
        latents: Tensor | None = None,
        *,
        first_step: int = 0,
        temperature: float = 1.0,
    ) -> Tensor:
        """Noise to start from, drawn or given, (B, M, F, C, H', W') float32.

        Independent for each frame and modality, as in training. What is drawn has the deviation
        `temperature`.
        """
        side = (height // self.vae_scale_factor, width // self.vae_scale_factor)
        channels = self.unet.settings.latent_channels
        shape = (clips, len(self.unet.settings.modalities), frames, channels, *side)
        if latents is None:
            latents = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
            latents *= temperature
        elif tuple(latents.shape) != shape:
            raise GenerationError(f"latents are {tuple(latents.shape)}, and must be {shape}")
        latents = latents.to(device, torch.float32)
        return latents if first_step else latents * self.scheduler.init_noise_sigma

    def decode(
        self, latents_BMFCHW: Tensor, *, low_memory: bool = False
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
        """Decode latents a few frames at a time, so that no more is in memory.

        Yields:
            The frames, and of these frames video and depth pictures, each (B, f, H, W, 3) float32
            in [0, 1]; None for depth where the model generates none.
        """
        codec, images_at_once = self._codec(low_memory), _at_once(low_memory)
        clips, modalities, frames = latents_BMFCHW.shape[:3]
        for start in range(0, frames, images_at_once):
            part = slice(start, min(start + images_at_once, frames))
            latents_N = latents_BMFCHW[:, :, part].flatten(0, 2)
            both = holds_depth(codec)
            if both:  # a stream of each, as of other models
                decoded = torch.stack(decode_both(codec, latents_N, self.depth.kind), dim=1)
                pixels_N = decoded.unflatten(0, (clips, -1)).transpose(1, 2).flatten(0, 2)
            else:
                pixels_N = codec.decode(latents_N).float()
            pixels = (pixels_N / 2 + 0.5).clamp_(0, 1).permute(0, 2, 3, 1)
            images = pixels.unflatten(0, (clips, modalities + both, -1)).cpu().numpy()
            yield part, images[:, VIDEO], images[:, DEPTH] if images.shape[1] > 1 else None

    def save_pretrained(self, save_directory: str | PathLike[str], **options: Any) -> None:
        """As all pipelines do; with what `idol-train` and diffusers' own loading need beside it."""
        super().save_pretrained(save_directory, **options)
        complete_folder(Path(save_directory), self.info)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], **options: Any
    ) -> Self:
        """As all pipelines do; results are, bit for bit, those of the pipeline that was saved.

        Raises OSError where something is missing, or damaged: it names the file.
        """
        with naming_damage(pretrained_model_name_or_path):
            pipe: Self = super().from_pretrained(pretrained_model_name_or_path, **options)
        for part in pipe.components.values():
            if isinstance(part, nn.Module):
                into_memory(part)
        return pipe

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **options: Any) -> Self:
        """As all pipelines do: another of the same parts, but for those that are given.

        diffusers takes over parts of the very classes that `__init__` names, and no variant's.
        """
        if isinstance(pipeline, IdolPipeline):
            options = {**pipeline.components, **options}
        made: Self = super().from_pipe(pipeline, **options)
        return made

    @classmethod
    def load_config(cls, *arguments: Any, **options: Any) -> Any:
        """The folder's `model_index.json`, which names for others where this class is found."""
        config = super().load_config(*arguments, **options)
        content = config[0] if isinstance(config, tuple) else config
        if isinstance(content.get("_class_name"), list):
            content["_class_name"] = content["_class_name"][-1]
        if isinstance(info := content.get("info"), dict):
            # diffusers takes a part's class from modules that are imported already, and no others.
            told = ModelInfo.from_json(info, "model_index.json")
            denoiser_class(told.variant, told.stage)
        return config

    @classmethod
    def of(
        cls,
        denoiser: DualModalDenoiser,
        image_encoder: TinyEncoder | CLIPEncoder,
        codec: LatentCodec,
        scheduler: SchedulerMixin,
        info: ModelInfo | None = None,
    ) -> Self:
        """A pipeline of what is in memory; the model is put into evaluation mode."""
        denoiser.eval()
        if info is not None and info.vae_factor is None:  # so that another VAE is noticed
            info = replace(info, vae_factor=codec.factor)
        return cls(
            denoiser.unet,
            denoiser.controlnet,
            denoiser.foreground_projection,
            image_encoder.clip if isinstance(image_encoder, CLIPEncoder) else image_encoder.eval(),
            codec.vae if isinstance(codec, VAECodec) else codec,
            scheduler,
            info.as_json() if info else None,
        )

    def _codec(self, low_memory: bool = False) -> LatentCodec:
        if isinstance(self.vae, PatchCodec):
            return self.vae
        return VAECodec.of(self.vae, chunk=_at_once(low_memory))

    def _windows(self, windows: Windows | None, frames: int) -> Windows:
        """A model without temporal layers takes each frame by itself, the others all at once."""
        settings = self.unet.settings
        if not settings.temporal_layers:
            return Windows(length=1, overlap=0)
        windows = windows or Windows(length=frames, overlap=0)
        longest = settings.motion_frames
        if settings.temporal_modules == "animatediff" and windows.length > longest:
            raise GenerationError(
                f"the model's motion modules know {longest} frames at a time, and {windows.length} "
                f"are to pass through it: give windows of at most {longest}"
            )
        return windows

    def _set_timesteps(self, steps: int, device: torch.device) -> Tensor:
        try:
            set_timesteps(self.scheduler, steps, device)
        except ValueError as error:
            raise GenerationError(f"{type(self.scheduler).__name__}: {error}") from error
        return self.scheduler.timesteps

    def _output(
        self, latents: Tensor, output_type: OutputType, *, low_memory: bool
    ) -> IdolPipelineOutput:
        if output_type == "latent":
            return IdolPipelineOutput(latents)
        decoded = [(v, d) for _, v, d in self.decode(latents, low_memory=low_memory)]
        video: Any = np.concatenate([frames for frames, _ in decoded], axis=1)
        if any(part is None for _, part in decoded):  # a model of video alone
            if output_type == "pt":
                video = torch.from_numpy(video).permute(0, 1, 4, 2, 3).to(latents.device)
            return IdolPipelineOutput(
                _pil(video) if output_type == "pil" else video, latent=latents
            )
        pictures: Any = np.concatenate([part for _, part in decoded if part is not None], axis=1)
        depth, confidence = depth_of(pictures, colour_map(self.depth))
        arrays: list[Any] = [depth, 1 - confidence, metres_of(depth, self.depth)]
        if output_type == "pt":
            device = latents.device
            video, pictures = (
                torch.from_numpy(a).permute(0, 1, 4, 2, 3).to(device) for a in (video, pictures)
            )
            arrays = [None if a is None else torch.from_numpy(a).to(device) for a in arrays]
        elif output_type == "pil":
            video, pictures = _pil(video), _pil(pictures)
        return IdolPipelineOutput(video, arrays[0], arrays[1], pictures, arrays[2], latents)


def _at_once(low_memory: bool) -> int:
    return 1 if low_memory else _SLICE


def _pil(images_BFHWC: np.ndarray) -> list[list[Image.Image]]:
    as_bytes = (images_BFHWC * 255 + 0.5).astype(np.uint8)
    return [[Image.fromarray(frame) for frame in clip] for clip in as_bytes]
