"""The annotators of `annotators.py`, each with its bare network: weights are random, sizes true.

The bare network is the published way to run it: its own preprocessing, the forward pass in batches
of the same size, its output on the CPU. What the annotator adds is the project's own work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from preprocess import weights
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware, Settings
from preprocess.annotators.torch.device import half_precision
from preprocess.external_file import ExternalFile

__all__ = ["CASES", "Case", "Setting"]

Frames = Sequence[np.ndarray]


@dataclass(frozen=True)
class Setting:
    device: str
    half: bool
    batch: int
    sam: str
    scratch: Path  # for folders that a library wants to read

    @property
    def hardware(self) -> Hardware:
        return Hardware(self.device, self.half, self.batch)

    def cut(self, frames: Frames) -> Iterator[Frames]:
        for start in range(0, len(frames), self.batch):
            yield frames[start : start + self.batch]

    def forward(self, network: nn.Module, *inputs: Any, **keywords: Any) -> Any:
        with torch.inference_mode(), half_precision(self.hardware):
            return network(*inputs, **keywords)


@dataclass(frozen=True)
class Case:
    """`annotate` a clip through the project, or run the `bare` network on its frames."""

    annotate: Callable[[Scene], object]
    bare: Callable[[Frames], object]


def located(file: ExternalFile) -> Path:
    return weights.locate(file.name)


def randomised(module: nn.Module) -> Any:
    """Small weights and no bias: nothing overflows, and maps of joints show no person."""
    torch.manual_seed(0)
    module = module.to_empty(device="cpu") if _is_meta(module) else module
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.02)
        else:
            nn.init.constant_(parameter, 0 if name.endswith("bias") else 1)
    return module.requires_grad_(False).eval()


def _is_meta(module: nn.Module) -> bool:
    return next(module.parameters()).is_meta


def grounded_sam(setting: Setting) -> Case:
    import groundingdino.datasets.transforms as T
    from PIL import Image
    from segment_anything import sam_model_registry
    from segment_anything.utils.transforms import ResizeLongestSide

    from preprocess.annotators.grounded_sam.annotator import Detections, GroundedSam
    from preprocess.annotators.grounded_sam.detector import Detector, build_network
    from preprocess.annotators.grounded_sam.segmenter import Segmenter

    dino = build_network(_bert_folder(setting.scratch / "bert")).to(setting.device)
    sam = sam_model_registry[setting.sam]().requires_grad_(False).to(setting.device)
    detector = Detector(dino, setting.hardware)

    def box_of(frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        return np.array([[width / 4, 0, width * 3 / 4, height]], np.float32)

    def detect(frames: Frames) -> list[Detections]:
        """Random weights find no person: both sides cut out the same box after looking."""
        detector(frames)
        return [Detections(box_of(frame), np.ones(1, np.float32)) for frame in frames]

    annotator = GroundedSam(
        detect, Segmenter(sam, setting.hardware), people="one", person="largest", smooth=False
    )
    transform = T.Compose(
        [
            T.RandomResize([800], max_size=1333),
            T.ToTensor(),
            T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    longest = ResizeLongestSide(sam.image_encoder.img_size)

    def bare(frames: Frames) -> None:
        for some in setting.cut(frames):
            images = torch.stack([transform(Image.fromarray(f), None)[0] for f in some])
            found = setting.forward(
                dino, images.to(setting.device), captions=["person."] * len(some)
            )
            found["pred_logits"].cpu(), found["pred_boxes"].cpu()
        for some in setting.cut(frames):
            resized = np.stack([longest.apply_image(frame) for frame in some])
            images = torch.from_numpy(resized).to(setting.device).permute(0, 3, 1, 2)
            for frame, features in zip(
                some, setting.forward(sam.image_encoder, sam.preprocess(images)), strict=True
            ):
                size = frame.shape[:2]
                box = torch.from_numpy(longest.apply_boxes(box_of(frame), size)).float()
                sparse, dense = sam.prompt_encoder(None, box.to(setting.device), None)
                position = sam.prompt_encoder.get_dense_pe()
                masks, _ = sam.mask_decoder(features[None].float(), position, sparse, dense, False)
                (sam.postprocess_masks(masks, images.shape[2:], size) > 0).cpu()

    return Case(annotator.masks, torch.inference_mode()(bare))


def _bert_folder(folder: Path) -> Path:
    """BERT base's config, with a tokenizer that knows the prompt."""
    from tokenizers.implementations import BertWordPieceTokenizer
    from transformers import BertConfig

    BertConfig().save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "person"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertWordPieceTokenizer(str(folder / "vocab.txt")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return folder


def openpose(setting: Setting) -> Case:
    from preprocess.annotators.openpose.annotator import OpenPose
    from preprocess.annotators.openpose.body import HEIGHT
    from preprocess.annotators.openpose.networks import Network
    from preprocess.annotators.torch.loading import import_controlnet_aux

    _, body = import_controlnet_aux("open_pose.util", "open_pose.body")
    module = randomised(body.bodypose_model()).to(setting.device)
    network = Network(module, setting.hardware, 1)
    annotator = OpenPose(network, None, None, Settings(smooth=False))

    def bare(frames: Frames) -> None:
        height, width = frames[0].shape[:2]
        size = (round(width * HEIGHT / height) // 8 * 8, HEIGHT)
        for some in setting.cut(frames):
            resized = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in some])
            images = torch.from_numpy(resized).to(setting.device).permute(0, 3, 1, 2)
            for maps in setting.forward(module, images.contiguous() / 256 - 0.5):
                maps.cpu()

    return Case(annotator.keypoints, bare)


def midas(setting: Setting) -> Case:
    from preprocess.annotators.midas.network import Midas, build_dpt_hybrid, network_size
    from preprocess.annotators.whole_frame import WholeFrameDepth

    module = randomised(build_dpt_hybrid()).to(setting.device)
    annotator = WholeFrameDepth("", "", Midas(module, setting.hardware))

    def bare(frames: Frames) -> None:
        height, width = frames[0].shape[:2]
        size = network_size(width, height)
        for some in setting.cut(frames):
            resized = [cv2.resize(f / 255.0, size, interpolation=cv2.INTER_CUBIC) for f in some]
            images = torch.from_numpy(np.stack(resized).astype(np.float32)).to(setting.device)
            depth = setting.forward(module, images.permute(0, 3, 1, 2) * 2 - 1)
            nn.functional.interpolate(depth[:, None], (height, width), mode="bicubic").cpu()

    return Case(lambda scene: annotator.depths(scene, _no_masks(scene)), bare)


def huggingface(setting: Setting) -> Case:
    """Depth Anything, small."""
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTImageProcessor,
    )

    backbone = Dinov2Config(
        image_size=518,
        patch_size=14,
        hidden_size=384,
        num_attention_heads=6,
        out_features=["stage3", "stage6", "stage9", "stage12"],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
    )
    module = DepthAnythingForDepthEstimation(config)
    module.save_pretrained(setting.scratch / "depth")
    processor = DPTImageProcessor(
        size={"height": 518, "width": 518}, keep_aspect_ratio=True, ensure_multiple_of=14
    )
    processor.save_pretrained(setting.scratch / "depth")
    (chosen,) = AnnotatorChoice("none", "none", (f"hf:{setting.scratch / 'depth'}",)).depths
    annotator = chosen.load(located, setting.hardware)
    module = module.requires_grad_(False).eval().to(setting.device)

    def bare(frames: Frames) -> None:
        for some in setting.cut(frames):
            inputs = processor(images=list(some), return_tensors="pt")
            outputs = setting.forward(module, **inputs.to(setting.device))
            sizes = [frame.shape[:2] for frame in some]
            for depth in processor.post_process_depth_estimation(outputs, sizes):
                depth["predicted_depth"].cpu()

    return Case(lambda scene: annotator.depths(scene, _no_masks(scene)), bare)


def hdnet(setting: Setting) -> Case:
    from preprocess.annotators.hdnet import HourglassNetwork
    from preprocess.annotators.hdnet.annotator import SIZE, HDNet, HDNetDepth

    networks = {
        "normal": randomised(HourglassNetwork(3, 3)),
        "depth": randomised(HourglassNetwork(9, 1)),
    }
    annotator = HDNetDepth(HDNet(networks, setting.hardware), setting.hardware)

    def annotate(scene: Scene) -> np.ndarray:
        iuv = tuple(np.zeros_like(frame) for frame in scene.frames)
        seen = Scene(scene.frames, (), scene.crop, scene.fps, iuv)
        return annotator.depths(seen, ~_no_masks(scene))

    def bare(frames: Frames) -> None:
        for some in setting.cut(frames):
            square = np.stack([cv2.resize(f, (SIZE, SIZE)) for f in some])
            images = torch.from_numpy(square).to(setting.device).permute(0, 3, 1, 2).float()
            normals = setting.forward(networks["normal"], images)
            inputs = torch.cat([images, normals, torch.zeros_like(images)], 1)
            setting.forward(networks["depth"], inputs).cpu()

    return Case(annotate, bare)


def lite(setting: Setting) -> Case:
    """As many runs of the same two networks as the tracker asks for, on images made before."""
    from preprocess.annotators.lite.annotators import LiteMask
    from preprocess.annotators.lite.network import Network
    from preprocess.annotators.lite.person import LitePerson

    def locate(name: str) -> Path:
        return weights.locate(f"lite/{name}")

    tracker, annotator = LitePerson(locate, hands=False, face=False), LiteMask()
    asked: list[tuple[Network, np.ndarray]] = []
    run = Network.__call__

    def recorded(network: Network, image: np.ndarray) -> dict[str, np.ndarray]:
        asked.append((network, image))
        return run(network, image)

    def annotate(scene: Scene) -> np.ndarray:
        asked.clear()
        people = tuple(tracker.track(scene.frames))
        return annotator.masks(Scene(scene.frames, people, scene.crop, scene.fps)).clip

    def bare(frames: Frames) -> None:
        for network, image in asked:
            run(network, image)

    Network.__call__ = recorded  # type: ignore[method-assign]
    return Case(annotate, bare)


def dwpose(setting: Setting) -> Case:
    """From its published files: there is no building ONNX networks of their size here."""
    from preprocess.annotators.dwpose.spec import DETECTOR, POSE

    choice = AnnotatorChoice("none", "dwpose", ("none",), smooth=False)
    annotator = choice.chosen["pose"].load(located, setting.hardware)
    sessions = _onnx_session(DETECTOR, setting), _onnx_session(POSE, setting)

    def bare(frames: Frames) -> None:
        for some in setting.cut(frames):
            for session, (width, height) in zip(sessions, ((640, 640), (288, 384)), strict=True):
                images = np.stack([cv2.resize(frame, (width, height)) for frame in some])
                images = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
                session.run(None, {session.get_inputs()[0].name: images})

    return Case(annotator.keypoints, bare)


def _onnx_session(file: ExternalFile, setting: Setting) -> Any:
    from onnxruntime import InferenceSession

    kind = "CUDA" if setting.device.startswith("cuda") else "CPU"
    return InferenceSession(located(file), providers=[f"{kind}ExecutionProvider"])


def _no_masks(scene: Scene) -> np.ndarray:
    return np.zeros((len(scene.frames), scene.crop.size, scene.crop.size), np.uint8)


CASES: dict[str, Callable[[Setting], Case]] = {
    "lite": lite,
    "grounded-sam": grounded_sam,
    "openpose": openpose,
    "midas": midas,
    "huggingface": huggingface,
    "hdnet": hdnet,
    "dwpose": dwpose,
}
