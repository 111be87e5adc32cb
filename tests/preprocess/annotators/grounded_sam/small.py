"""Small random networks, built by the packages' own classes and saved in the published formats."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

# In the published vocabulary's order of kinds; GroundingDINO asks for ".", "?" by name.
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "person", "a", "dog"]
# Its positions are of 256 channels, whatever the config says.
DETECTOR_CONFIG = {
    "enc_layers": 1,
    "dec_layers": 1,
    "dim_feedforward": 64,
    "num_queries": 30,
}


def bert_folder(folder: Path) -> Path:
    """A local transformers folder with a BERT of two narrow layers; its weights are not needed."""
    from tokenizers.implementations import BertWordPieceTokenizer
    from transformers import BertConfig

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    config.save_pretrained(folder)
    tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    described = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    return folder


def detector_config(path: Path) -> Path:
    """GroundingDINO's published config file with smaller numbers."""
    from preprocess.annotators.grounded_sam.detector import published_config

    lines = [f"{name} = {value}" for name, value in DETECTOR_CONFIG.items()]
    path.write_text(published_config().read_text() + "\n".join(lines) + "\n")
    return path


def build_detector(bert: Path, config: Path, seed: int = 0) -> Any:
    """As upstream builds it, with random weights in every layer that it zeroes at first."""
    from preprocess.annotators.grounded_sam.detector import local_bert

    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        torch.random.fork_rng(),
        local_bert(),
    ):
        warnings.simplefilter("ignore")
        from groundingdino.models import build_model
        from groundingdino.util.slconfig import SLConfig

        torch.manual_seed(seed)
        arguments = SLConfig.fromfile(str(config))
        arguments.text_encoder_type = str(bert)
        arguments.use_checkpoint = arguments.use_transformer_ckpt = False
        network = build_model(arguments).eval()
        for head in (network.bbox_embed[0], network.transformer.enc_out_bbox_embed):
            nn.init.normal_(head.layers[-1].weight, std=0.1)
            head.layers[-1].bias.data[2:] += 1  # boxes as large as people, so that some overlap
    return network


def save_detector(network: nn.Module, path: Path) -> Path:
    """As published: under "model", with the prefix of a distributed run and training's rests."""
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    state["module.label_enc.weight"] = torch.zeros(3, 4)
    state["module.bert.embeddings.position_ids"] = torch.arange(512)[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": state}, path)
    return path


def build_sam(seed: int = 0) -> Any:
    """SAM for images of 128 pixels, two blocks deep: one with windows, one global."""
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    width, image, patch = 32, 128, 16
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sam = Sam(
            image_encoder=ImageEncoderViT(
                depth=2,
                embed_dim=width,
                img_size=image,
                mlp_ratio=2,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                num_heads=2,
                patch_size=patch,
                qkv_bias=True,
                use_rel_pos=True,
                global_attn_indexes=(1,),
                window_size=3,
                out_chans=width,
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=width,
                image_embedding_size=(image // patch, image // patch),
                input_image_size=(image, image),
                mask_in_chans=8,
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(
                    depth=2, embedding_dim=width, mlp_dim=64, num_heads=2
                ),
                transformer_dim=width,
                iou_head_depth=3,
                iou_head_hidden_dim=32,
            ),
        )
        for name, parameter in sam.named_parameters():
            if "pos" in name:  # zero at first
                nn.init.normal_(parameter, std=0.02)
    return sam.eval()


def save_sam(network: nn.Module, path: Path) -> Path:
    """As published: the state itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return path
