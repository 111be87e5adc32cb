"""Where the people are: GroundingDINO with the prompt `person`.

Shapes are suffixes of names: N frames, C channels, H rows, W columns, Q queries, L text tokens.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from preprocess.annotators.grounded_sam.annotator import Detections
from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.device import half_precision
from preprocess.annotators.torch.loading import load_state, needed_packages
from preprocess.errors import InputError

__all__ = [
    "BertWithMasks",
    "Detector",
    "build_network",
    "load_network",
    "local_bert",
    "published_config",
]

PROMPT = "person"
BOX_THRESHOLD = 0.30
TEXT_THRESHOLD = 0.25
SHORT_SIDE, LONG_SIDE = 800, 1333  # what the network was trained on
# The published detector leaves several boxes of one person where it is unsure of an edge.
SAME_PERSON = 0.8  # intersection over union

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Of upstream's training alone: it loads its own checkpoint with these left over.
_LEFT_OVER = {"label_enc.weight", "bert.embeddings.position_ids"}
# Most of it is what deformable attention samples, for all positions at once.
_BYTES_PER_FRAME = 2_500_000_000


def published_config() -> Path:
    """The config file of the published Swin-T model, which lies inside the package."""
    import groundingdino

    return Path(groundingdino.__file__).parent / "config" / "GroundingDINO_SwinT_OGC.py"


def load_network(checkpoint: Path, bert: Path, config: Path | None = None) -> nn.Module:
    """GroundingDINO on the CPU, for inference, from the published file, {"model": state}.

    For `bert` and `config` see `build_network`. Raises InputError when a package is missing or
    the file does not fit.
    """
    network = build_network(bert, config)
    _fill(network, load_state(checkpoint, "model"), checkpoint)
    return network


def build_network(bert: Path, config: Path | None = None) -> nn.Module:
    """The same with random weights.

    `bert` is a local transformers folder, of which the tokenizer and the config are read;
    `config` a GroundingDINO config file, the published one unless given.
    """
    with _quiet():
        with needed_packages("Grounded-SAM"):
            from groundingdino.models import build_model
            from groundingdino.util.slconfig import SLConfig
        arguments = SLConfig.fromfile(str(config or published_config()))
        arguments.text_encoder_type = str(bert)
        # Gradient checkpointing: it changes nothing without gradients, and warns.
        arguments.use_checkpoint = arguments.use_transformer_ckpt = False
        with local_bert():
            return build_model(arguments).requires_grad_(False).eval()


def _fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    state = {key.removeprefix("module."): value for key, value in state.items()}
    expected = {key: value.shape for key, value in network.state_dict().items()}
    mistakes = {
        "are missing": expected.keys() - state.keys(),
        "are not part of it": state.keys() - expected.keys() - _LEFT_OVER,
        "have another shape": {k for k in expected if k in state and state[k].shape != expected[k]},
    }
    if any(mistakes.values()):
        counted = "; ".join(
            f"{len(keys)} tensors {what}, as {min(keys)}" for what, keys in mistakes.items() if keys
        )
        raise InputError(
            f"{path} does not hold GroundingDINO's Swin-T model: {counted}. Fetch "
            f"groundingdino_swint_ogc.pth again: `idol-prep weights fetch groundingdino`"
        )
    network.load_state_dict({key: state[key] for key in expected})


class Detector:
    """People's boxes in frames. A frame's result does not depend on the others of its batch."""

    def __init__(
        self,
        network: Any,
        hardware: Hardware,
    ) -> None:
        """Half precision where that is safe, on a GPU only."""
        from groundingdino.datasets.transforms import RandomResize

        self._network = network.to(hardware.device)
        self._hardware = hardware
        self._device = hardware.device
        self._resize = RandomResize([SHORT_SIDE], max_size=LONG_SIDE)  # one size: not random
        self._batches = Batches(hardware, _BYTES_PER_FRAME)
        ids = self._network.tokenizer(f"{PROMPT}.")["input_ids"]
        special = set(self._network.specical_tokens)  # upstream's spelling
        self._prompt_tokens = [i for i, token in enumerate(ids) if token not in special]

    def __call__(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """`frames`, (H, W, 3) uint8 RGB of one size -> the people of each, best score first."""
        return self._batches.map(self._detect, frames)

    @torch.inference_mode()
    def _detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        height, width = frames[0].shape[:2]
        images_NCHW = self._prepared(frames)
        with _quiet(), half_precision(self._hardware):
            outputs = self._network(images_NCHW, captions=[f"{PROMPT}."] * len(frames))
        scores_NQL = outputs["pred_logits"].float().sigmoid()
        scale = torch.tensor([width, height, width, height], device=self._device)
        boxes_NQ4 = outputs["pred_boxes"].float() * scale
        return [
            self._people(scores, boxes) for scores, boxes in zip(scores_NQL, boxes_NQ4, strict=True)
        ]

    def _prepared(self, frames: Sequence[np.ndarray]) -> Tensor:
        """Resized by Pillow as upstream does it, and normalised on the device."""
        from PIL import Image

        resized = [np.asarray(self._resize(Image.fromarray(frame))[0]) for frame in frames]
        images_NHWC = torch.from_numpy(np.stack(resized)).to(self._device)
        mean, std = (torch.tensor(x, device=self._device)[:, None, None] for x in (_MEAN, _STD))
        images_NCHW = images_NHWC.permute(0, 3, 1, 2).to(memory_format=torch.contiguous_format)
        return (images_NCHW.float().div(255) - mean) / std

    def _people(self, scores_QL: Tensor, boxes_Q4: Tensor) -> Detections:
        """Upstream's two thresholds: a box's best token, and the tokens that make its phrase,
        which must be the prompt. `boxes_Q4` are centres and sizes in pixels."""
        from torchvision.ops import box_convert, nms

        best_Q = scores_QL.max(1).values
        named_Q = (scores_QL[:, self._prompt_tokens] > TEXT_THRESHOLD).all(1)
        kept = (best_Q > BOX_THRESHOLD) & named_Q
        boxes, scores = box_convert(boxes_Q4[kept], "cxcywh", "xyxy"), best_Q[kept]
        unique = nms(boxes, scores, SAME_PERSON)
        return Detections(boxes[unique].cpu().numpy(), scores[unique].cpu().numpy())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The package is of 2023: it prints, and uses what has since been renamed."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


class _Config(BertConfig):
    """GroundingDINO reads this name, for which transformers 5 would print a deprecation."""

    use_return_dict = True


class BertWithMasks(BertModel):
    """A BERT encoder with the masking methods of transformers 4."""

    def get_extended_attention_mask(
        self,
        attention_mask: Tensor,
        input_shape: tuple[int, ...],
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """What is added to attention scores: 0 where `attention_mask` is 1, the least number of
        `dtype` (the model's own, unless given) where it is 0.

        (batch, keys) -> (batch, 1, 1, keys); (batch, queries, keys) -> (batch, 1, queries, keys).
        `input_shape` and `device` are not needed for an encoder. Raises ValueError on other shapes.
        """
        return _additive(attention_mask, self.dtype if dtype is None else dtype)

    def invert_attention_mask(self, encoder_attention_mask: Tensor) -> Tensor:
        """The same, for the mask of another encoder's states."""
        return _additive(encoder_attention_mask, self.dtype)

    def get_head_mask(
        self, head_mask: Tensor | None, num_hidden_layers: int, is_attention_chunked: bool = False
    ) -> Tensor | list[None]:
        """One mask a layer: None each, or (layers, batch, heads, queries, keys) to be broadcast.

        `head_mask` is (heads,), the same in all layers, or (layers, heads); 1 keeps a head.
        Raises ValueError on other shapes.
        """
        if head_mask is None:
            return [None] * num_hidden_layers
        if head_mask.dim() == 1:
            head_mask = head_mask.expand(num_hidden_layers, -1)
        if head_mask.dim() != 2:
            raise ValueError(f"a head mask is (heads,) or (layers, heads), not {head_mask.shape}")
        head_mask = head_mask[:, None, :, None, None].to(self.dtype)
        return head_mask[..., None] if is_attention_chunked else head_mask


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dim() == 2:
        mask = mask[:, None, None, :]
    elif mask.dim() == 3:
        mask = mask[:, None, :, :]
    else:
        raise ValueError(f"a mask is (batch, keys) or (batch, queries, keys), not {mask.shape}")
    return (1 - mask.to(dtype)) * torch.finfo(dtype).min


@contextmanager
def local_bert() -> Iterator[None]:
    """While it lasts, GroundingDINO builds its text encoder from a local folder's config alone.

    Its weights are not read from there: GroundingDINO's checkpoint holds its own, fine-tuned.
    """
    from groundingdino.util import get_tokenlizer

    def build(folder: str) -> BertWithMasks:
        return BertWithMasks(_Config.from_pretrained(Path(folder)))

    original = get_tokenlizer.get_pretrained_language_model
    get_tokenlizer.get_pretrained_language_model = build
    try:
        yield
    finally:
        get_tokenlizer.get_pretrained_language_model = original
