"""Where a pipeline's parts are and how they run, whatever it makes: offloading, CUDA graphs."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from diffusers import DiffusionPipeline
from diffusers.hooks import apply_group_offloading

from idol.diffusion.graphed import GraphedDenoiser
from idol.diffusion.sampling import Denoiser
from idol.model import DualModalDenoiser

__all__ = ["PlacedPipeline"]

_log = logging.getLogger(__name__)


class PlacedPipeline(DiffusionPipeline):
    """A diffusers pipeline of a denoiser's parts, which may be elsewhere until they are needed."""

    unet: Any
    controlnet: Any
    foreground_projection: Any

    _takes_graphs = False
    _graphed: GraphedDenoiser | None = None
    _graphed_weights: tuple[int, ...] = ()

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """As all pipelines do; these run in half precision on a CPU too, so that nothing warns."""
        return super().to(*args, **{"silence_dtype_warnings": True, **kwargs})

    def enable_cuda_graphs(self) -> None:
        """Let a GPU have all launches of a denoising step at once.

        On a GPU that waits for its host the steps take the time that they compute; results are the
        same. Recorded from the second step of a shape on, kept for later calls, and left aside
        while parts of the model are offloaded or memory is to be saved.
        """
        self._takes_graphs = True

    def disable_cuda_graphs(self) -> None:
        """Give launches one by one again, and free the memory of those recorded."""
        self._takes_graphs, self._graphed = False, None

    def _denoiser(self, *, low_memory: bool) -> Denoiser:
        plain = DualModalDenoiser(self.unet, self.controlnet, self.foreground_projection)
        parameters = list(plain.parameters())
        hooked = any(
            hasattr(m, "_hf_hook") or hasattr(m, "_diffusers_hook") for m in plain.modules()
        )
        here = all(p.device.type == "cuda" for p in parameters)
        if not self._takes_graphs or low_memory or hooked or not here:
            self._graphed = None
            return plain
        weights = tuple(p.data_ptr() for p in parameters)
        if self._graphed is None or weights != self._graphed_weights:
            self._graphed, self._graphed_weights = GraphedDenoiser(plain), weights
        return self._graphed

    def enable_group_offload(
        self,
        onload_device: torch.device | str,
        *,
        exclude_modules: str | Sequence[str] = (),
        offload_to_disk_path: str | PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        """As all pipelines do, with each part's own folder on disk: parts share names of layers.

        What reads weights past the hooks that would fetch them stays on the device.

        Args:
            options: diffusers': `offload_type` ("block_level", "leaf_level"), `use_stream`, ...
        """
        excluded = {exclude_modules} if isinstance(exclude_modules, str) else {*exclude_modules}
        excluded |= {*self._exclude_from_cpu_offload}
        for name, module in self.components.items():
            if not isinstance(module, torch.nn.Module):
                continue
            if name in excluded:
                module.to(onload_device)
                continue
            place = offload_to_disk_path and str(Path(offload_to_disk_path) / name)
            own = getattr(module, "enable_group_offload", None)  # CLIP is none of diffusers' models
            offload = own or partial(apply_group_offloading, module)
            offload(onload_device=onload_device, offload_to_disk_path=place, **options)

    def enable_attention_slicing(self, slice_size: str | int | None = "auto") -> None:
        """Does nothing, and says so."""
        _log.warning(
            "enable_attention_slicing changes nothing here: attention keeps no whole map anyway "
            "(torch's scaled_dot_product_attention); low_memory=True in the call saves memory"
        )

    def enable_xformers_memory_efficient_attention(
        self, attention_op: Callable[..., Any] | None = None
    ) -> None:
        """Does nothing, and says so."""
        _log.warning(
            "enable_xformers_memory_efficient_attention changes nothing here: attention runs "
            "through torch's scaled_dot_product_attention, which is as sparing"
        )

    def _offload(self, component: str) -> None:
        """Give back a component's memory until it is needed again, where offloading is on."""
        module = getattr(self, component)
        for hook in getattr(self, "_all_hooks", []):
            if hook.model is module:
                hook.offload()
