"""The small autoencoder starts as the best linear code of patches."""

import pytest
import torch
import torch.nn.functional as F

from idol.encoders import SmallAutoencoder, VAECodec


def smooth(count: int, channels: int, size: int) -> torch.Tensor:
    """Pictures with more of coarse than of fine."""
    coarse = torch.rand(count, channels, size // 4, size // 4) * 2 - 1
    return F.interpolate(coarse, size=size, mode="bilinear").clamp(-1, 1)


@pytest.mark.parametrize(("channels", "patch"), [(3, 4), (4, 8)])
def test_it_starts_as_the_projection_on_the_principal_directions(channels: int, patch: int) -> None:
    pictures = smooth(4, channels, 32)
    network = SmallAutoencoder(channels, 6, patch=patch, width=8, blocks=1)
    network.start_from(pictures)
    latents = network.encode(pictures).latent_dist.mode()
    assert latents.shape == (4, 6, 32 // patch, 32 // patch)
    rows = F.pixel_unshuffle(pictures, patch).movedim(1, -1).flatten(0, -2)
    _, values, directions = torch.linalg.svd(rows, full_matrices=False)
    wanted = rows @ directions[:6].mT @ directions[:6]
    made = network.decode(latents).sample
    made_rows = F.pixel_unshuffle(made, patch).movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(made_rows, wanted, atol=1e-4, rtol=0)
    energy = latents.square().mean(dim=(0, 2, 3)) * len(rows)
    torch.testing.assert_close(energy, values[:6].square(), rtol=1e-3, atol=1e-4)


def test_all_of_it_learns() -> None:
    network = SmallAutoencoder(3, 6, patch=4, width=8, blocks=1)
    pictures = smooth(2, 3, 16)
    network.start_from(pictures)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(3):  # what starts at zero keeps what is before it from a first gradient
        optimizer.zero_grad()
        posterior = network.encode(pictures).latent_dist
        error = (network.decode(posterior.sample()).sample - pictures).square().mean()
        error.backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def discs(count: int, size: int) -> torch.Tensor:
    """Pictures of a disc each, of one colour on another."""
    middle = torch.rand(count, 2, 1, 1) * size
    radius = (torch.rand(count, 1, 1) * 0.3 + 0.15) * size
    at = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij"))
    distance = torch.linalg.vector_norm(at - middle, dim=1)
    inside = (radius - distance + 0.5).clamp(0, 1)[:, None]
    colours = torch.rand(2, count, 3, 1, 1) * 2 - 1
    return colours[0] * inside + colours[1] * (1 - inside)


@pytest.mark.slow
def test_of_pictures_not_seen_it_becomes_better_than_the_linear_code() -> None:
    torch.manual_seed(0)
    network = SmallAutoencoder(3, 6, patch=4, width=24, blocks=1)
    network.start_from(discs(64, 32))
    others = discs(64, 32)

    @torch.no_grad()
    def error() -> float:
        made = network.decode(network.encode(others).latent_dist.mode()).sample
        return float((made - others).square().mean())

    linear = error()
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(150):
        pictures = discs(8, 32)
        posterior = network.encode(pictures).latent_dist
        optimizer.zero_grad()
        (network.decode(posterior.sample()).sample - pictures).square().mean().backward()
        optimizer.step()
    assert error() < 0.7 * linear


def test_as_a_codec_its_latents_are_scaled() -> None:
    network = SmallAutoencoder(3, 6, patch=8, width=8, blocks=1, scaling_factor=0.25)
    pictures = smooth(2, 3, 16)
    network.start_from(pictures)
    codec = VAECodec.of(network)
    assert (codec.factor, codec.channels, codec.holds_depth) == (8, 6, False)
    latents = codec.encode(pictures)
    torch.testing.assert_close(latents, network.encode(pictures).latent_dist.mode() * 0.25)
    torch.testing.assert_close(codec.decode(latents), network.decode(latents * 4).sample)
    with pytest.raises(ValueError, match="20x16 pixels does not divide into latents of 8x8"):
        codec.encode(torch.zeros(1, 3, 16, 20))
