"""Small models with random weights, saved as users save theirs, through the real loading."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BeitConfig,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DepthProConfig,
    DepthProForDepthEstimation,
    DepthProImageProcessor,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
    GLPNConfig,
    GLPNForDepthEstimation,
    GLPNImageProcessor,
    ViTConfig,
    ViTForImageClassification,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
    ZoeDepthImageProcessor,
    pipeline,
)

from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware
from preprocess.crop import Crop
from preprocess.errors import InputError

FRAMES = tuple(
    cv2.resize(spots, (60, 40))
    for spots in np.random.default_rng(3).integers(0, 256, (3, 4, 6, 3), np.uint8)
)

BACKBONE = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2, "mlp_ratio": 2}
NECK = {"neck_hidden_sizes": [8, 8, 8, 8], "fusion_hidden_size": 8}


def depth_anything(**options):
    backbone = Dinov2Config(
        **BACKBONE,
        image_size=56,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=24,
        patch_size=14,
        head_hidden_size=4,
        **NECK,
        **options,
    )
    return DepthAnythingForDepthEstimation(config), DPTImageProcessor(
        size={"height": 56, "width": 56}, keep_aspect_ratio=True, ensure_multiple_of=14
    )


def dpt():
    config = DPTConfig(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        is_hybrid=False,
        **NECK,
    )
    return DPTForDepthEstimation(config), DPTImageProcessor(size={"height": 64, "width": 64})


def zoedepth():
    backbone = BeitConfig(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=64,
        patch_size=16,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        use_relative_position_bias=True,
        use_absolute_position_embeddings=False,
    )
    config = ZoeDepthConfig(
        backbone_config=backbone,
        backbone_hidden_size=24,
        bottleneck_features=8,
        bin_embedding_dim=8,
        num_attractors=[2, 2, 2, 2],
        num_relative_features=8,
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
        **NECK,
    )
    processor = ZoeDepthImageProcessor(size={"height": 64, "width": 64}, ensure_multiple_of=32)
    return ZoeDepthForDepthEstimation(config), processor


def depth_pro():
    """As published, with a network for the camera's angle of view, from which it knows metres."""
    encoder = Dinov2Config(**BACKBONE, image_size=32, patch_size=8).to_dict()
    config = DepthProConfig(
        patch_size=32,
        fusion_hidden_size=8,
        intermediate_hook_ids=[3, 1],
        intermediate_feature_dims=[8, 8],
        scaled_images_feature_dims=[8, 8, 8],
        merge_padding_value=1,
        use_fov_model=True,
        image_model_config=encoder,
        patch_model_config=encoder,
        fov_model_config=encoder,
    )
    model = DepthProForDepthEstimation(config)
    with torch.no_grad():
        model.head.layers[-2].bias.fill_(5)  # inverse depth: none is 0, which means infinity
        model.fov_model.head.layers[-1].bias.fill_(50)  # degrees
    return model, DepthProImageProcessor(size={"height": 128, "width": 128})


def glpn():
    config = GLPNConfig(
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        depths=[1, 1, 1, 1],
        mlp_ratios=[2, 2, 2, 2],
        decoder_hidden_size=8,
    )
    return GLPNForDepthEstimation(config), GLPNImageProcessor()


# How to make each, and what its numbers are.
KINDS = {
    "depth_anything": (depth_anything, "inverse"),
    "metric": (lambda: depth_anything(depth_estimation_type="metric", max_depth=20), "metres"),
    "dpt": (dpt, "inverse"),
    "zoedepth": (zoedepth, "metres"),
    "depth_pro": (depth_pro, "metres"),
    "glpn": (glpn, "metres"),
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """saved(kind): the folder of a small model."""

    def save(kind):
        torch.manual_seed(0)
        model, processor = KINDS[kind][0]()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:  # drawn so small that all depth is alike
                    torch.nn.init.kaiming_normal_(parameter)
        folder = tmp_path_factory.mktemp(kind) / kind
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        return folder

    return save


def load(folder, batch="auto"):
    choice = AnnotatorChoice("none", "none", (f"hf:{folder}",))
    (chosen,) = choice.depths
    return chosen.load(lambda file: folder / file.name, Hardware(half=True, batch=batch))


def run(folder, *, batch="auto", crop=None):
    annotator = load(folder, batch)
    scene = Scene(FRAMES, (), crop or Crop("none", 0, -10, 60, 60), 30.0)
    size = scene.crop.size
    return annotator, annotator.depths(scene, np.zeros((len(FRAMES), size, size), np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_depth_is_the_librarys_own_and_grows_with_distance(saved, kind):
    folder = saved(kind)
    annotator, depth = run(folder)
    assert annotator.label.startswith(f"hf:{folder.name} (")
    assert KINDS[kind][1] in annotator.unit
    inverse = "inverse" in annotator.unit
    published = pipeline("depth-estimation", model=str(folder), device="cpu")
    for frame, found in zip(FRAMES, depth, strict=True):
        expected = published(Image.fromarray(frame))["predicted_depth"].numpy()
        assert expected.std() > 1e-2 * abs(expected).mean() > 0
        assert np.isnan(found[:10]).all()
        assert np.isnan(found[50:]).all()
        tolerance = 1e-3 * expected.std()
        np.testing.assert_allclose(found[10:50], -expected if inverse else expected, atol=tolerance)


def test_batches_do_not_change_the_depth(saved):
    folder = saved("depth_anything")
    one, three = (run(folder, batch=batch)[1] for batch in (1, 3))
    np.testing.assert_allclose(one, three, rtol=1e-4, atol=1e-4)


def test_a_model_for_something_else_is_refused(tmp_path):
    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        image_size=32,
        patch_size=16,
    )
    ViTForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is no depth model but a vit"):
        run(tmp_path)


def test_a_kind_whose_numbers_are_not_known_is_refused(saved):
    """chmv2 gives the height of trees."""
    folder = saved("dpt")
    path = folder / "config.json"
    path.write_text(json.dumps({"model_type": "chmv2"}))
    with pytest.raises(InputError, match="is a chmv2, of which it is not known"):
        run(folder)


def test_dpt_on_dinov2_is_metric(saved):
    from preprocess.annotators.huggingface.network import INVERSE, METRIC, _unit

    assert (
        _unit(Path("dinov2"), DPTConfig(backbone_config=Dinov2Config(), is_hybrid=False)) == METRIC
    )
    assert _unit(Path("hybrid"), DPTConfig(is_hybrid=True)) == INVERSE


def test_depth_pro_without_an_angle_of_view_knows_no_metres():
    from preprocess.annotators.huggingface.network import METRIC, RELATIVE, _unit

    assert _unit(Path("published"), DepthProConfig(use_fov_model=True)) == METRIC
    assert _unit(Path("bare"), DepthProConfig(use_fov_model=False)) == RELATIVE


def test_weights_of_another_model_are_refused(saved):
    folder, other = saved("depth_anything"), saved("dpt")
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"the weights of .* lack"):
        run(folder)


def test_a_folder_that_is_not_whole_is_one_sentence(saved, tmp_path):
    folder = saved("dpt")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="does not load: "):
        run(folder)
    with pytest.raises(InputError, match=r"holds no config\.json"):
        run(tmp_path)
