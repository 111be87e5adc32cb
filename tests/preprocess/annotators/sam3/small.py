"""A small SAM 3 for videos with random weights, saved as the published one is."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import (
    CLIPTokenizer,
    Sam2VideoVideoProcessor,
    Sam3ImageProcessor,
    Sam3VideoConfig,
    Sam3VideoModel,
    Sam3VideoProcessor,
)

SIZE, PATCH = 112, 14
GRID = SIZE // PATCH  # 8
WIDTH = 128


def config(**options) -> Sam3VideoConfig:
    small = {"hidden_size": WIDTH, "num_attention_heads": 2, "intermediate_size": 48}
    vision = {
        "model_type": "sam3_vision_model",
        "fpn_hidden_size": WIDTH,
        "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
        "backbone_config": {
            "model_type": "sam3_vit_model",
            **small,
            "num_hidden_layers": 2,
            "image_size": SIZE,
            "patch_size": PATCH,
            "window_size": 4,
            "global_attn_indexes": [1],
            "pretrain_image_size": SIZE,
        },
    }
    detector = {
        "model_type": "sam3",
        "vision_config": vision,
        "text_config": {
            "model_type": "clip_text_model",
            **small,
            "vocab_size": len(VOCABULARY),
            "projection_dim": 16,
            "num_hidden_layers": 1,
            "max_position_embeddings": 32,
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
        "geometry_encoder_config": {**small, "num_layers": 1},
        "detr_encoder_config": {**small, "num_layers": 1},
        "detr_decoder_config": {**small, "num_layers": 1, "num_queries": 10},
        "mask_decoder_config": {"hidden_size": WIDTH, "num_attention_heads": 2},
    }
    tracker = {
        "model_type": "sam3_tracker_video",
        "image_size": SIZE,
        "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": WIDTH, "patch_size": PATCH},
        "mask_decoder_config": {
            "hidden_size": WIDTH,
            "mlp_dim": 48,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        "memory_attention_hidden_size": WIDTH,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 48,
        "memory_attention_rope_feat_sizes": [GRID, GRID],
        "memory_encoder_hidden_size": WIDTH,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": WIDTH,
        "memory_fuser_embed_dim": WIDTH,
        "memory_fuser_intermediate_dim": 48,
    }
    return Sam3VideoConfig(
        detector_config=detector,
        tracker_config=tracker,
        low_res_mask_size=4 * GRID,
        initializer_range=0.02,
        **options,
    )


# CLIP's own has 49408 entries; this one spells its words.
VOCABULARY = {
    token: number
    for number, token in enumerate(
        ["<|startoftext|>", "<|endoftext|>", *"person", *(f"{c}</w>" for c in "person")]
    )
}


def save(folder: Path, *, seed: int, **options) -> Path:
    torch.manual_seed(seed)
    model = Sam3VideoModel(config(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:  # drawn so small that nothing is anywhere
                torch.nn.init.kaiming_normal_(parameter)
        # There is somebody.
        model.detector_model.detr_decoder.presence_head.layer3.bias.fill_(10)
    model.save_pretrained(folder)
    # The library does not write the tracker's size, and takes another one for the published 1008.
    described = json.loads((folder / "config.json").read_text())
    described["tracker_config"]["image_size"] = SIZE
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    size = {"height": SIZE, "width": SIZE}
    Sam3VideoProcessor(
        Sam3ImageProcessor(size=size), Sam2VideoVideoProcessor(size=size), tokenizer
    ).save_pretrained(folder)
    return folder
