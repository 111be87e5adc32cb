"""3D ResNet-50, the network behind FID-FVD (Hara, Kataoka and Satoh, 2018), trained on Kinetics.

Parameters have the names of 3D-ResNets-PyTorch's checkpoints (`resnet-50-kinetics.pth`), without
the `module.` in front that training on several GPUs left there.
"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MEAN", "ResNet3D50", "bare_names"]

MEAN = (114.7748, 107.7354, 99.4750)
"""Of Kinetics' R, G and B, which is subtracted from pixels of 0-255; there is no deviation."""

_EXPANSION = 4
_BLOCKS = (3, 4, 6, 3)


class ResNet3D50(nn.Module):
    """Pooled features of clips: bottleneck blocks, projecting shortcuts; 47,018,576 parameters.

    It must be in evaluation mode, which it is when made: batch normalisation by stored statistics.

    Args:
        classes: of the last layer, which `forward` does not need; 400 for Kinetics-400.
    """

    def __init__(self, classes: int = 400) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        inputs = 64
        for number, blocks in enumerate(_BLOCKS, start=1):
            width = 32 << number
            layer = nn.Sequential()
            for block in range(blocks):
                stride = 2 if block == 0 and number > 1 else 1
                layer.append(_Bottleneck(inputs, width, stride))
                inputs = width * _EXPANSION
            self.add_module(f"layer{number}", layer)
        self.fc = nn.Linear(inputs, classes)
        self.eval()

    def forward(self, video_BCTHW: Tensor) -> Tensor:
        """(B, 2048) features of RGB clips, 0-255 minus `MEAN`, (B, 3, T, 112, 112).

        They are averaged over space and time.
        """
        x = F.relu(self.bn1(self.conv1(video_BCTHW)))
        x = F.max_pool3d(x, 3, stride=2, padding=1)
        for number in range(1, len(_BLOCKS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return x.mean((2, 3, 4))

    def classify(self, features_BD: Tensor) -> Tensor:
        """(B, classes) logits of what `forward` returned."""
        return self.fc(features_BD)


class _Bottleneck(nn.Module):
    """1x1x1, 3x3x3 and 1x1x1 convolutions around a shortcut; the middle one has the stride."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv3d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            projection = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


def bare_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the `module.` before names."""
    return {name.removeprefix("module."): value for name, value in state.items()}
