"""A small ViTPose with random weights, saved as the published ones are."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    VitPoseImageProcessor,
)


def save(folder: Path, *, experts: int = 1, joints: int = 17, simple: bool = True) -> Path:
    """`experts` above 1 make it a ViTPose++; its heat maps are bumpy, each joint's another."""
    backbone = VitPoseBackboneConfig(
        image_size=[64, 48],
        patch_size=[16, 16],
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        num_experts=experts,
        part_features=16 if experts > 1 else 256,
        out_indices=[2],
    )
    torch.manual_seed(5)
    model = VitPoseForPoseEstimation(
        VitPoseConfig(
            backbone_config=backbone,
            num_labels=joints,
            scale_factor=4,
            use_simple_decoder=simple,
        )
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:  # drawn so small that all images are alike
                torch.nn.init.kaiming_normal_(parameter)
            if name == "head.conv.bias":
                parameter.fill_(0.5)
    model.save_pretrained(folder)
    VitPoseImageProcessor(size={"height": 64, "width": 48}).save_pretrained(folder)
    return folder
