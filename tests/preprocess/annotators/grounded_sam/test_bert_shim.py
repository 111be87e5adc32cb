"""The methods as transformers 4 documents them: masks of ones and zeros become additive ones."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel

from preprocess.annotators.grounded_sam.detector import BertWithMasks, local_bert

LEAST = torch.finfo(torch.float32).min


@pytest.fixture(scope="module")
def model() -> BertWithMasks:
    config = BertConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=16,
    )
    return BertWithMasks(config).eval()


def test_a_padding_mask_is_the_same_for_all_heads_and_queries(model):
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    added = model.get_extended_attention_mask(mask, mask.shape)
    assert added.dtype == torch.float32
    assert added.shape == (2, 1, 1, 3)
    assert added[:, 0, 0].tolist() == [[0, 0, LEAST], [0, LEAST, LEAST]]


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_a_mask_of_queries_and_keys_keeps_both(model, dtype):
    """GroundingDINO's masks are of this kind, and bool."""
    mask = torch.tensor([[[1, 0, 0], [0, 1, 1], [0, 1, 1]]], dtype=dtype)
    added = model.get_extended_attention_mask(mask, (1, 3), mask.device)
    assert added.shape == (1, 1, 3, 3)
    assert added[0, 0].tolist() == [[0, LEAST, LEAST], [LEAST, 0, 0], [LEAST, 0, 0]]


def test_the_least_number_is_that_of_the_wanted_type(model):
    mask = torch.tensor([[1, 0]])
    half = model.get_extended_attention_mask(mask, mask.shape, dtype=torch.float16)
    assert half.dtype == torch.float16
    assert half.flatten().tolist() == [0, -65504]


def test_inverted_masks_have_the_same_shapes_and_values(model):
    padding = torch.tensor([[1, 1, 0]])
    assert model.invert_attention_mask(padding)[0, 0].tolist() == [[0, 0, LEAST]]
    pairs = torch.tensor([[[1, 0], [1, 1]]])
    assert model.invert_attention_mask(pairs)[0, 0].tolist() == [[0, LEAST], [0, 0]]


@pytest.mark.parametrize("shape", [(3,), (1, 1, 3, 3)])
def test_other_shapes_are_refused(model, shape):
    with pytest.raises(ValueError, match="batch, keys"):
        model.get_extended_attention_mask(torch.ones(shape), shape)
    with pytest.raises(ValueError, match="batch, keys"):
        model.invert_attention_mask(torch.ones(shape))


def test_head_masks_have_one_entry_a_layer(model):
    assert model.get_head_mask(None, 3) == [None, None, None]

    heads = torch.tensor([1, 0, 1, 1])
    same = model.get_head_mask(heads, 3)
    assert same.shape == (3, 1, 4, 1, 1)
    assert same.dtype == torch.float32
    assert same[:, 0, :, 0, 0].tolist() == [[1, 0, 1, 1]] * 3

    each = torch.eye(3, 4)
    assert torch.equal(model.get_head_mask(each, 3)[:, 0, :, 0, 0], each)
    assert model.get_head_mask(each, 3, is_attention_chunked=True).shape == (3, 1, 4, 1, 1, 1)
    with pytest.raises(ValueError, match="layers, heads"):
        model.get_head_mask(torch.ones(1, 3, 4), 3)


def test_masked_tokens_have_no_influence(model):
    """What the masks are for: two sentences in one sequence are as if each were alone."""
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    blocks = torch.block_diag(torch.ones(2, 2), torch.ones(3, 3))[None].bool()
    states = model.embeddings(ids, position_ids=torch.tensor([[0, 1, 0, 1, 2]]))
    added = model.get_extended_attention_mask(blocks, ids.shape)
    with torch.no_grad():
        together = model.encoder(states, attention_mask=added)[0]
        alone = [model.encoder(states[:, part])[0] for part in (slice(0, 2), slice(2, 5))]
    torch.testing.assert_close(together, torch.cat(alone, 1), rtol=0, atol=1e-6)


def test_transformers_is_left_as_it_was(bert):
    from groundingdino.util import get_tokenlizer

    before = get_tokenlizer.get_pretrained_language_model

    def build_and_fail() -> None:
        with local_bert():
            built = get_tokenlizer.get_pretrained_language_model(str(bert))
            assert isinstance(built, BertWithMasks)
            assert built.config.hidden_size == 24
            raise KeyError

    with pytest.raises(KeyError):
        build_and_fail()
    assert get_tokenlizer.get_pretrained_language_model is before
    assert not hasattr(BertModel, "get_head_mask")
