"""The networks whose features are compared: what each takes, where its weights are from."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from idol.errors import first_line
from idol.evaluate.annotate.external import load_tensors, locate
from idol.evaluate.array_pickle import load_arrays
from idol.evaluate.errors import EvaluationError, MissingNetwork
from idol.evaluate.features import FeatureStore, content_digest
from idol.evaluate.i3d import I3D, state_from_flax
from idol.evaluate.inception import FEATURES, Inception, fold_normalisation
from idol.evaluate.resnet3d import MEAN, ResNet3D50, bare_names
from shards.files.digest import canonical_json, sha256, sha256_file

__all__ = ["NETWORKS", "Network", "NetworkName", "Scale", "load_network"]

NetworkName = Literal["inception-v3-2015-12-05", "i3d-kinetics-400", "resnet3d-50-kinetics"]
Scale = Literal["tensorflow", "pytorch-fid"]

# Of what the code here does to frames: raised when features would come out otherwise.
_VERSION = 1
# Frames of 224 x 224 at a time; a clip of more is one batch.
_FRAMES_AT_ONCE = 32


@dataclass(frozen=True)
class _Kind:
    """A network: the side of its square input, its features, its registered file.

    `of_clips`: it takes clips, else single images.
    """

    size: int
    features: int
    of_clips: bool
    file: str
    build: Callable[[], nn.Module]
    read: Callable[[Path], Mapping[str, Tensor]]


def _read_i3d(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".ckpt":
        return state_from_flax(load_arrays(path))
    return load_tensors(path)


def _read_resnet3d(path: Path) -> Mapping[str, Tensor]:
    # Its authors' checkpoint keeps the tensors in an entry; converted files hold nothing else.
    nested = None if path.suffix == ".safetensors" else "state_dict"
    return bare_names(load_tensors(path, nested))


def _read_inception(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        return fold_normalisation(load_tensors(path))
    try:
        with warnings.catch_warnings():
            # torch advises another format for new programs; this file is what it is.
            warnings.simplefilter("ignore")
            program = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        raise MissingNetwork(
            f"{path} is no TorchScript file ({first_line(error)}): fetch it again"
        ) from error
    return fold_normalisation(program.state_dict())


NETWORKS: dict[NetworkName, _Kind] = {
    "inception-v3-2015-12-05": _Kind(
        299, FEATURES, False, "inception/inception-v3.pt", Inception, _read_inception
    ),
    "i3d-kinetics-400": _Kind(224, 400, True, "i3d/i3d-kinetics-400.ckpt", I3D, _read_i3d),
    "resnet3d-50-kinetics": _Kind(
        112, 2048, True, "resnet3d/resnet-50-kinetics.pth", ResNet3D50, _read_resnet3d
    ),
}
"""By the name that protocols have for them."""


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network; call it with frames.

    Attributes:
        name: as protocols have it.
        checksum: SHA-256 of the file of its weights.
        size: the side of its input in pixels.
        features: how many a frame or clip has.
        of_clips: it takes clips, else single images.
        scale: what Inception's input is in units of (method: Evaluation); others have one scale.
        module: the network itself, in evaluation mode.
        store: keeps features by the content of frames, so that none are computed twice.
    """

    name: NetworkName
    checksum: str
    size: int
    features: int
    of_clips: bool
    scale: Scale
    module: nn.Module
    store: FeatureStore | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that features depend on besides the frames given: what caches go by."""
        said = {
            "network": self.name,
            "weights": self.checksum,
            "scale": self.scale,
            "version": _VERSION,
        }
        return sha256(canonical_json(said))

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Features, (N, D) float32, of RGB in 0-255, float or uint8, resized already.

        Args:
            frames: (N, T, S, S, 3) clips, or (N, S, S, 3) images for Inception; N may be 0.

        Raises EvaluationError for another shape, or features that are not finite.
        """
        frames = np.asarray(frames)
        expected = (self.size, self.size, 3)
        if frames.ndim != 4 + self.of_clips or frames.shape[-3:] != expected:
            wanted = f"(N, {'T, ' if self.of_clips else ''}{self.size}, {self.size}, 3)"
            raise EvaluationError(f"{self.name} takes frames of {wanted}; got {frames.shape}")
        if self.of_clips and frames.shape[1] == 0:
            raise EvaluationError(f"{self.name} takes clips of one frame or more")
        if self.store is None:
            return self._computed(frames)
        digest = content_digest(frames)
        kept = self.store.get(digest)
        if kept is None:
            kept = self._computed(frames)
            self.store.add(digest, kept)
        return kept

    def _computed(self, frames: np.ndarray) -> np.ndarray:
        features = np.empty((len(frames), self.features), np.float32)
        at_once = max(_FRAMES_AT_ONCE // (frames.shape[1] if self.of_clips else 1), 1)
        for start in range(0, len(frames), at_once):
            features[start : start + at_once] = self._features(frames[start : start + at_once])
        if not np.isfinite(features).all():
            bad = int(np.flatnonzero(~np.isfinite(features).all(1))[0])
            raise EvaluationError(f"{self.name} gave features that are not finite for item {bad}")
        return features

    @torch.inference_mode()
    def _features(self, frames: np.ndarray) -> np.ndarray:
        parameter = next(self.module.parameters())
        # Channels last in memory, as they come; a network of images is told by the strides.
        values = torch.from_numpy(np.ascontiguousarray(frames)).to(parameter.device).float()
        values = self._scaled(values).movedim(-1, 1)
        # Rounded products would make features of two machines differ by a thousandth.
        with torch.backends.cudnn.flags(allow_tf32=False):
            return self.module(values).float().cpu().numpy()

    def _scaled(self, values: Tensor) -> Tensor:
        if self.name == "resnet3d-50-kinetics":
            return values - values.new_tensor(MEAN)
        if self.name == "i3d-kinetics-400" or self.scale == "pytorch-fid":
            return values / 127.5 - 1
        return (values - 128) / 128


def load_network(
    name: NetworkName,
    *,
    file: Path | None = None,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    scale: Scale = "tensorflow",
    cache: Path | None = None,
) -> Network:
    """Load a network.

    Args:
        name: one of `NETWORKS`.
        file: of its weights, in place of the registered one: for I3D also the PyTorch port's state
            dict, for ResNet its authors' `.pth`, for Inception any TorchScript file of its layers.
        folder: of external files; None for $IDOL_WEIGHTS, else the user's cache.
        device: where it runs, in float32.
        scale: of Inception's input: TensorFlow's (x - 128) / 128, or 2 x / 255 - 1 as pytorch-fid.
        cache: a folder in which features are kept by the content of the frames.

    Raises MissingNetwork, naming file and remedy, when the weights are absent or do not fit.
    """
    kind = NETWORKS[name]
    if file is None:
        path, checksum = locate(kind.file, folder)
    elif file.is_file():
        path, checksum = file, sha256_file(file)
    else:
        raise MissingNetwork(f"there are no weights of {name} at {file}")
    module = kind.build()
    try:
        module.load_state_dict(dict(kind.read(path)))
    except MissingNetwork:
        raise
    except (RuntimeError, EvaluationError) as error:
        # torch puts a line of its own before what is wrong.
        what = str(error).strip().splitlines()[:2][-1].strip()[:200]
        raise MissingNetwork(f"{path} holds no weights of {name}: {what}") from error
    layout = torch.channels_last_3d if kind.of_clips else torch.channels_last
    module = module.to(device).to(memory_format=layout).requires_grad_(False).eval()
    made = Network(name, checksum, kind.size, kind.features, kind.of_clips, scale, module)
    return made if cache is None else replace(made, store=FeatureStore(cache, made))
