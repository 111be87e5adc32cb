"""What GroundingDINO's text encoder asks of `BertModel` and transformers 5 no longer has.

groundingdino-py takes three methods of the model that it wraps; they turn masks of ones and zeros
into what attention adds to its scores. They are given to a subclass, so that transformers' own
class stays as it is for everybody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

__all__ = ["BertWithMasks", "local_bert"]


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
