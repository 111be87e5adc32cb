"""The annotators of `annotators.py`, each with its bare network: weights are random, sizes true.

The bare network is the published way to run it: its own preprocessing, the forward pass in batches
of the same size, its output on the CPU. What the annotator adds is the project's own work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

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


class WithPeople(nn.Module):
    """OpenPose's body network with three people in its maps: random weights find nobody, whom
    finding is the annotator's work."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        fields, joints = self.network(images)
        return fields, joints + self._blobs(*joints.shape[-2:]).to(joints)

    @staticmethod
    @lru_cache(maxsize=2)
    def _blobs(height: int, width: int) -> torch.Tensor:
        y, x = np.indices((height, width))
        rng = np.random.default_rng(0)
        maps = np.zeros((19, height, width), np.float32)
        for joint in range(18):
            for cx, cy in rng.uniform((0, 0), (width, height), (3, 2)):
                maps[joint] += 0.8 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 1.25**2))
        return torch.from_numpy(maps)


def openpose(setting: Setting) -> Case:
    from preprocess.annotators.openpose.annotator import OpenPose
    from preprocess.annotators.openpose.body import HEIGHT
    from preprocess.annotators.openpose.networks import Network
    from preprocess.annotators.torch.loading import import_controlnet_aux

    _, body = import_controlnet_aux("open_pose.util", "open_pose.body")
    module = WithPeople(randomised(body.bodypose_model()).to(setting.device))
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
    """Mask, pose and depth of the body."""
    return _lite(hands_and_face=False)


def lite_wholebody(setting: Setting) -> Case:
    """The same with hands and face."""
    return _lite(hands_and_face=True)


def _lite(*, hands_and_face: bool) -> Case:
    """Bare are as many runs of the same networks, on images made before."""
    from preprocess.annotators.lite.annotators import LiteDepth, LiteMask, LitePose
    from preprocess.annotators.lite.network import Network
    from preprocess.annotators.lite.person import LitePerson

    def locate(name: str) -> Path:
        return weights.locate(f"lite/{name}")

    tracker = LitePerson(locate, hands=hands_and_face, face=hands_and_face)
    mask, pose, depth = LiteMask(), LitePose(smooth=True), LiteDepth()
    asked: list[tuple[Network, np.ndarray]] = []
    run = Network.__call__

    def recorded(network: Network, image: np.ndarray) -> dict[str, np.ndarray]:
        asked.append((network, image))
        return run(network, image)

    def annotate(scene: Scene) -> None:
        asked.clear()
        with patch.object(Network, "__call__", recorded):
            people = tuple(tracker.track(scene.frames))
        seen = Scene(scene.frames, people, scene.crop, scene.fps)
        pose.keypoints(seen)
        depth.depths(seen, mask.masks(seen).clip)

    def bare(frames: Frames) -> None:
        for network, image in asked:
            run(network, image)

    return Case(annotate, bare)


def vitpose(setting: Setting) -> Case:
    """ViTPose, base with the simple decoder; a person in the middle of each frame."""
    from transformers import (
        VitPoseBackboneConfig,
        VitPoseConfig,
        VitPoseForPoseEstimation,
        VitPoseImageProcessor,
    )

    backbone = VitPoseBackboneConfig(out_indices=[12])
    config = VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=True)
    folder = setting.scratch / "vitpose"
    VitPoseForPoseEstimation(config).save_pretrained(folder)
    processor = VitPoseImageProcessor()
    processor.save_pretrained(folder)
    choice = AnnotatorChoice("none", f"vitpose:{folder}", ("none",), smooth=False)
    annotator = choice.chosen["pose"].load(located, setting.hardware)
    module = VitPoseForPoseEstimation.from_pretrained(folder).eval().to(setting.device)

    def box_of(frame: np.ndarray) -> tuple[float, float, float, float]:
        height, width = frame.shape[:2]
        return width / 4, 0.0, width * 3 / 4, float(height)

    def annotate(scene: Scene) -> np.ndarray:
        boxes = tuple((box_of(frame),) for frame in scene.frames)
        seen = Scene(scene.frames, (), scene.crop, scene.fps, boxes=boxes)
        return annotator.keypoints(seen).points

    def bare(frames: Frames) -> None:
        for some in setting.cut(frames):
            corners = [box_of(frame) for frame in some]
            boxes = [[[x0, y0, x1 - x0, y1 - y0]] for x0, y0, x1, y1 in corners]
            inputs = processor(list(some), boxes=boxes, return_tensors="pt").to(setting.device)
            outputs = setting.forward(module, **inputs)
            processor.post_process_pose_estimation(outputs, boxes=boxes)

    return Case(annotate, bare)


def densepose(setting: Setting) -> Case:
    """A TorchScript program of R-CNN's trunk, ResNet-50 with a pyramid, and of DensePose's head,
    for one person in the middle: the published program cannot be made here."""
    from preprocess.annotators.densepose.annotator import DensePose, DensePoseProgram

    torch.manual_seed(0)
    path = setting.scratch / "densepose.ts"
    torch.jit.script(_DensePoseLike().eval()).save(path)
    annotator = DensePose(DensePoseProgram(path, setting.device))
    module = torch.jit.load(path, map_location=setting.device).eval()

    def bare(frames: Frames) -> None:
        for frame in frames:
            image = torch.from_numpy(np.ascontiguousarray(frame[..., ::-1].transpose(2, 0, 1)))
            with torch.inference_mode():
                for tensor in module(image.to(setting.device)):
                    tensor.cpu()

    return Case(lambda scene: annotator.iuv(scene.frames), bare)


class _DensePoseLike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

        self.trunk = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
        layers: list[nn.Module] = []
        for number in range(8):
            layers += [nn.Conv2d(512 if number else 256, 512, 3, padding=1), nn.ReLU()]
        self.head = nn.Sequential(*layers)
        self.maps = nn.ConvTranspose2d(512, 2 + 3 * 25, 4, stride=2, padding=1)

    def forward(
        self, image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        height, width = float(image.shape[1]), float(image.shape[2])
        scale = min(800.0 / min(height, width), 1333.0 / max(height, width))
        size = [int(height * scale), int(width * scale)]
        resized = nn.functional.interpolate(image[None].float() / 255, size, mode="bilinear")
        features = self.trunk(resized)["1"]
        middle = features[:, :, :, features.shape[3] // 4 : features.shape[3] * 3 // 4]
        pooled = nn.functional.adaptive_avg_pool2d(middle, [28, 28])
        maps = nn.functional.interpolate(
            self.maps(self.head(pooled)), scale_factor=2.0, mode="bilinear"
        )
        boxes = torch.tensor([[width / 4, 0.0, width * 0.75, height]])
        coarse, fine, u, v = maps.split([2, 25, 25, 25], 1)
        return boxes, coarse, fine, u, v


def sam3(setting: Setting) -> Case:
    """SAM 3 as its configuration has it; whoever its random weights find is followed."""
    from transformers import (
        CLIPTokenizer,
        Sam2VideoVideoProcessor,
        Sam3ImageProcessor,
        Sam3VideoConfig,
        Sam3VideoModel,
        Sam3VideoProcessor,
    )

    from preprocess.annotators.sam3.annotator import PROMPT, Sam3, VideoSegmenter

    words = ["<|startoftext|>", "<|endoftext|>", *"person", *(f"{c}</w>" for c in "person")]
    (setting.scratch / "vocab.json").write_text(json.dumps({w: n for n, w in enumerate(words)}))
    (setting.scratch / "merges.txt").write_text("#version: 0.2\n")
    names = (str(setting.scratch / name) for name in ("vocab.json", "merges.txt"))
    size = {"height": 1008, "width": 1008}
    processor = Sam3VideoProcessor(
        Sam3ImageProcessor(size=size), Sam2VideoVideoProcessor(size=size), CLIPTokenizer(*names)
    )
    torch.manual_seed(0)
    module = Sam3VideoModel(Sam3VideoConfig()).requires_grad_(False).eval().to(setting.device)
    segment = VideoSegmenter(processor, module, setting.hardware)
    annotator = Sam3(segment, people="one", person="largest")

    def bare(frames: Frames) -> None:
        session = processor.init_video_session(
            video=np.stack(frames), inference_device=setting.device, dtype=torch.float32
        )
        processor.add_text_prompt(session, PROMPT)
        with torch.inference_mode():
            for output in module.propagate_in_video_iterator(session):
                processor.postprocess_outputs(session, output)["masks"].cpu()

    return Case(annotator.masks, bare)


def dwpose(setting: Setting) -> Case:
    from dwpose_networks import write_detector, write_pose

    from preprocess.annotators.dwpose.spec import DETECTOR

    detector = write_detector(setting.scratch / "detector.onnx")
    pose = write_pose(setting.scratch / "pose.onnx")
    choice = AnnotatorChoice("none", "dwpose", ("none",), smooth=False)

    def drawn(file: ExternalFile) -> Path:
        return detector if file == DETECTOR else pose

    annotator = choice.chosen["pose"].load(drawn, setting.hardware)
    sessions = _onnx_session(detector, setting), _onnx_session(pose, setting)

    def bare(frames: Frames) -> None:
        for some in setting.cut(frames):
            for session, (width, height) in zip(sessions, ((640, 640), (288, 384)), strict=True):
                images = np.stack([cv2.resize(frame, (width, height)) for frame in some])
                images = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
                session.run(None, {session.get_inputs()[0].name: images})

    return Case(annotator.keypoints, bare)


def _onnx_session(path: Path, setting: Setting) -> Any:
    from onnxruntime import InferenceSession

    kind = "CUDA" if setting.device.startswith("cuda") else "CPU"
    return InferenceSession(path, providers=[f"{kind}ExecutionProvider"])


def _no_masks(scene: Scene) -> np.ndarray:
    return np.zeros((len(scene.frames), scene.crop.size, scene.crop.size), np.uint8)


CASES: dict[str, Callable[[Setting], Case]] = {
    "lite": lite,
    "lite-wholebody": lite_wholebody,
    "grounded-sam": grounded_sam,
    "openpose": openpose,
    "midas": midas,
    "huggingface": huggingface,
    "hdnet": hdnet,
    "densepose": densepose,
    "vitpose": vitpose,
    "dwpose": dwpose,
    "sam3": sam3,
}
