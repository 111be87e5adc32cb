"""Who makes what: known without loading it, with checksums, packages and notices."""

import hashlib
import json

import pytest

from preprocess import provenance, weights
from preprocess.annotators import choices
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.huggingface.model_folder import HubModels
from preprocess.annotators.registry import ANNOTATORS
from preprocess.annotators.sam3.spec import SAM3
from preprocess.annotators.source.spec import SOURCE_POSE
from preprocess.annotators.spec import Record
from preprocess.errors import InputError
from preprocess.provenance import records, required_files, software

PAPER = AnnotatorChoice("grounded-sam", "openpose", depth=("midas", "hdnet"), crop="center")
MODELS = HubModels("--depth hf")


def names(choice):
    return {entry.name for entry in required_files(choice)}


def made_by(choice):
    return {modality: chosen.title for modality, chosen in choice.chosen.items()}


def test_lite_records_are_what_they_were():
    """Datasets made before have these, and rebuilding them must give the same bytes."""
    body = {
        "lite/pose_detection.tflite": (
            "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
        ),
        "lite/pose_landmark_full.tflite": (
            "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
        ),
    }
    found = records(AnnotatorChoice())
    assert found == {
        "person": Record("lite-person", "1", body),
        "mask": Record("lite-mask", "1", body),
        "pose": Record("lite-pose", "1", body),
        "depth_person": Record("lite-depth", "2", body),
        "depth_frame": Record("lite-depth", "2", body),
    }
    assert list(found["mask"].as_json()) == ["name", "version", "weights"]
    assert len(records(AnnotatorChoice(pose_style="dwpose"))["pose"].weights) == 7


def test_the_papers_choice():
    assert made_by(PAPER) == {
        "mask": "grounded-sam",
        "pose": "openpose",
        "depth_person": "hdnet",
        "depth_frame": "midas",
    }
    assert names(PAPER) == {
        *("sam/sam_vit_h_4b8939.pth", "groundingdino/groundingdino_swint_ogc.pth"),
        *(f"bert/{f}" for f in ("config.json", "vocab.txt")),
        *(f"bert/{f}" for f in ("tokenizer.json", "tokenizer_config.json")),
        *("openpose/body_pose_model.pth", "hdnet/hdnet.safetensors"),
        "midas/dpt_hybrid-midas-501f0c75.pt",
    }
    assert [c.name for c in PAPER.depths] == ["hdnet", "midas"]  # however they were given


def test_the_tracker_is_there_for_the_crop_alone():
    following = AnnotatorChoice("source", "dwpose", ("none",), pose_style="dwpose")
    assert made_by(following) == {"person": "lite-person", "mask": "source-mask", "pose": "dwpose"}
    assert "person" not in made_by(AnnotatorChoice("source", "none", depth=("none",), crop="none"))


def test_hands_and_face_want_their_own_networks():
    with_hands = AnnotatorChoice("none", "openpose", ("none",), pose_style="dwpose", crop="none")
    assert names(with_hands) == {
        f"openpose/{f}" for f in ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth")
    }
    assert "Carnegie Mellon" in records(with_hands)["pose"].as_json()["notice"]


def test_a_file_of_unknown_checksum_is_recorded_as_it_is(tmp_path):
    choice = AnnotatorChoice("source", "none", depth=("hdnet",), crop="center")
    with pytest.raises(InputError, match=r"hdnet\.safetensors"):
        records(choice, tmp_path)
    (tmp_path / "hdnet").mkdir()
    (tmp_path / "hdnet" / "hdnet.safetensors").write_bytes(b"weights")
    checksum = hashlib.sha256(b"weights").hexdigest()
    assert records(choice, tmp_path)["depth_person"].weights == {
        "hdnet/hdnet.safetensors": checksum
    }
    assert weights.checksum("hdnet/hdnet.safetensors", tmp_path) == checksum


def test_software_is_that_of_what_is_used(monkeypatch):
    assert "torch" not in software(AnnotatorChoice())
    assert {"torch", "segment-anything", "groundingdino-py", "controlnet-aux"} <= set(
        software(PAPER)
    )
    assert "onnxruntime" in software(AnnotatorChoice("none", "dwpose", depth=("none",)))

    def gone(package):
        if package in ("rtmlib", "onnxruntime"):
            raise provenance.PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(provenance, "version", gone)
    with pytest.raises(InputError, match="onnxruntime, rtmlib, needed for pose by dwpose") as error:
        software(AnnotatorChoice("none", "dwpose", depth=("none",)))
    assert "make install-paper" in str(error.value)


def test_a_models_folder_is_known_by_its_files(tmp_path):
    folder = tmp_path / "depth-anything"
    folder.mkdir()
    with pytest.raises(InputError, match=r"holds no config\.json"):
        MODELS.folder(str(folder))
    (folder / "config.json").write_text(json.dumps({}))
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(InputError, match=r"holds no \*\.safetensors"):
        MODELS.folder(str(folder))
    (folder / "model.safetensors").write_bytes(b"weights")
    assert MODELS.folder(str(folder)) == folder
    assert MODELS.checksums(str(folder)) == {
        "config.json": hashlib.sha256(b"{}").hexdigest(),
        "model.safetensors": hashlib.sha256(b"weights").hexdigest(),
    }
    assert MODELS.called(str(folder)) == "depth-anything"
    choice = AnnotatorChoice("none", "none", depth=(f"hf:{folder}",), crop="center")
    assert records(choice)["depth_frame"].name == "hf:depth-anything"
    assert str(tmp_path) not in json.dumps(records(choice)["depth_frame"].as_json())


def test_a_model_that_cannot_be_had(tmp_path):
    """Tests are offline: the hub's client says so."""
    with pytest.raises(InputError, match="--depth hf:nobody/nothing is not in the hub's cache"):
        MODELS.folder("nobody/nothing")
    with pytest.raises(InputError, match="is not a folder"):
        MODELS.folder(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("choice", "mistake"),
    [
        ({"depth": ("lite", "midas")}, "lite and midas both make depth_frame"),
        ({"depth": ("none", "hdnet")}, "depth none cannot be combined"),
        ({"depth": ("midas", "hf:a/b")}, "midas and hf:a/b both make depth_frame"),
        ({"depth": ("hdnet", "hdnet")}, "hdnet and hdnet both make depth_person"),
        ({"depth": ("zoe",)}, "hf:MODEL_OR_FOLDER or none, not zoe"),
        ({"depth": ("hf:",)}, "not hf:"),
        ({"mask": "sam"}, " or none, not sam"),
        ({"depth": ()}, "depth is empty; use none"),
        ({"mask": "none", "depth": ("hdnet",)}, "needs a mask, not none"),
        ({"people": "all"}, "lite tracks a single person; choose another mask and pose"),
        ({"people": "all", "mask": "source", "pose": "none"}, "no chosen annotator finds people"),
    ],
)
def test_what_cannot_be_combined(choice, mistake):
    (found,) = AnnotatorChoice(**choice).mistakes()
    assert mistake in found


@pytest.mark.parametrize("twice", [SOURCE_POSE, SAM3])
def test_who_finds_people_is_named_once(monkeypatch, twice):
    monkeypatch.setattr(choices, "ANNOTATORS", (*ANNOTATORS, twice))
    (found,) = AnnotatorChoice(people="all").mistakes()
    assert found.count(twice.name) == 1


def test_what_can():
    for depth in (("lite",), ("none",), ("hdnet",), ("midas",), ("hf:a/b", "hdnet")):
        choice = AnnotatorChoice("grounded-sam", "openpose", depth=depth, people="all")
        assert list(choice.mistakes()) == []
    assert list(AnnotatorChoice("none", "none", depth=("midas",)).mistakes()) == []
