"""Which VAE is in a folder, found without loading it.

Names do not identify it: the same weights lie in many repositories, and saving them again changes
the file's bytes, the order of tensors, and, for networks from before diffusers 0.11, their names.
What is hashed is therefore the data of each tensor, in no order.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from idol.config.autoencoder import factor_of
from shards.errors import ShardsError

__all__ = ["VAEIdentity", "find_vae", "identify_vae", "is_vae", "sizes_of"]

WEIGHTS = "diffusion_pytorch_model.safetensors"
_CHUNK = 1 << 22


@dataclass(frozen=True)
class VAEIdentity:
    """A VAE's weights and the shape of its latents.

    `sha256`    over the data of all tensors, whatever their names and order.
    `channels`  of a latent; `factor`: pixels of an image's side for one of its latent's.
    """

    sha256: str
    channels: int
    factor: int


def find_vae(base: str | os.PathLike[str]) -> Path:
    """The VAE's folder: `vae/` in a folder in diffusers' layout, or the folder itself.

    Raises ShardsError when there is none.
    """
    for folder in (Path(base) / "vae", Path(base)):
        if is_vae(folder):
            return folder
    raise ShardsError(
        f"{base}: holds no AutoencoderKL, neither in vae/ nor itself; give a folder in diffusers' "
        "layout, such as that of Stable Diffusion 1.4"
    )


def is_vae(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds an autoencoder in diffusers' format: its own, or a small one."""
    return _config(Path(folder)).get("_class_name") in ("AutoencoderKL", "SmallAutoencoder")


def sizes_of(folder: str | os.PathLike[str]) -> tuple[int, int]:
    """Channels of its images, and of its latents, of what `is_vae` found.

    Raises ShardsError where its configuration does not say.
    """
    config = _config(Path(folder))
    try:
        return int(config["in_channels"]), int(config["latent_channels"])
    except (KeyError, TypeError, ValueError) as error:
        raise ShardsError(_undescribed(Path(folder), error)) from error


def identify_vae(folder: str | os.PathLike[str]) -> VAEIdentity:
    """The VAE in a folder in diffusers' layout; its file is read once in a process.

    Raises ShardsError when there is none, or it is not in safetensors.
    """
    path = find_vae(folder)
    weights = path / WEIGHTS
    try:
        stat = weights.stat()
        digest = _tensors_digest(weights, stat.st_size, stat.st_mtime_ns)
    except FileNotFoundError as error:
        raise ShardsError(
            f"{path}: has no {WEIGHTS}; save the VAE in safetensors: "
            "AutoencoderKL.from_pretrained(OLD).save_pretrained(NEW)"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShardsError(f"{weights}: is no whole safetensors file ({error})") from error
    config = _config(path)
    try:
        return VAEIdentity(digest, int(config["latent_channels"]), factor_of(config))
    except (KeyError, TypeError, ValueError) as error:
        raise ShardsError(_undescribed(path, error)) from error


def _undescribed(folder: Path, error: Exception) -> str:
    return f"{folder / 'config.json'}: does not describe a VAE ({error})"


def _config(folder: Path) -> dict:
    try:
        value = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


@lru_cache(maxsize=8)
def _tensors_digest(path: Path, size: int, changed: int) -> str:
    digests = []
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size:
            raise ValueError("cut short")
        header = json.loads(file.read(length))
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            start, end = tensor["data_offsets"]
            file.seek(8 + length + start)
            digest = hashlib.sha256(tensor["dtype"].encode())
            left = end - start
            while left > 0:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise ValueError("cut short")
                digest.update(chunk)
                left -= len(chunk)
            digests.append(digest.digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()
