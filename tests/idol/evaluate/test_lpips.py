"""LPIPS of the published files is torchmetrics' of the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from idol.evaluate.errors import MissingNetwork
from idol.evaluate.lpips import LPIPS, load_lpips
from tests.idol.evaluate.made import frames


def test_it_is_torchmetrics_lpips() -> None:
    lpips = pytest.importorskip("torchmetrics.functional.image.lpips")
    torch.manual_seed(0)
    theirs = lpips._LPIPS(pretrained=True, net="vgg", use_dropout=True, pnet_rand=True).eval()
    network = {}
    for part in range(1, 6):
        for key, value in getattr(theirs.net, f"slice{part}").state_dict().items():
            network[f"features.{key}"] = value
    ours = LPIPS()
    ours.load(network, {k: v for k, v in theirs.state_dict().items() if k.startswith("lin")})
    a, b = (
        torch.from_numpy(np.float32(frames(seed, 1, 64))).permute(0, 3, 1, 2) / 127.5 - 1
        for seed in (0, 1)
    )
    with torch.inference_mode():
        wanted = float(theirs(a, b).squeeze())
        assert wanted > 0
        assert float(ours(a, b)) == pytest.approx(wanted, rel=1e-4)
        assert float(ours(a, a)) == 0


def test_files_of_the_published_names_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = LPIPS()
    folder = tmp_path / "lpips"
    folder.mkdir()
    with pytest.raises(MissingNetwork, match=r"put torchvision's vgg16-397923af\.pth"):
        load_lpips("unit", tmp_path, "cpu")
    state = made.state_dict()
    network = {k: v for k, v in state.items() if k.startswith("features.")}
    linear = {f"lin{k[4]}.model.1.weight": v for k, v in state.items() if k.startswith("lin.")}
    torch.save(network | {"classifier.0.weight": torch.zeros(2, 2)}, folder / "vgg16-397923af.pth")
    torch.save(linear, folder / "vgg.pth")
    distances = [
        load_lpips(scale, tmp_path, "cpu")(frames(0)[0], frames(1)[0])  # type: ignore[arg-type]
        for scale in ("unit", "symmetric")
    ]
    assert distances[0] != distances[1]
    torch.save({k: v[:1] for k, v in network.items()}, folder / "vgg16-397923af.pth")
    with pytest.raises(MissingNetwork, match="no weights of LPIPS"):
        load_lpips("unit", tmp_path, "cpu")
