"""Loading: each annotator gets what was chosen for it, once, and nothing else is imported."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from preprocess import weights
from preprocess.annotators import provenance as makers
from preprocess.annotators.choices import AnnotatorChoice, Hardware
from preprocess.annotators.load import load as annotators
from preprocess.errors import InputError

HARDWARE = Hardware("cuda", half=True, batch=7)


@pytest.fixture
def stubs(monkeypatch, tmp_path):
    """Modules in place of the paper's annotators; loads[name] are the calls of its `load`."""
    loads = {}
    places = ("masks.grounded_sam", "poses.openpose", "poses.dwpose")
    for place in (*places, "depths.hdnet", "depths.midas", "depths.huggingface"):
        package, name = place.split(".")
        calls = loads.setdefault(name, [])

        def load(record, *args, _calls=calls, _name=name, **options):
            _calls.append((record.name, args, options))
            return SimpleNamespace(record=record, name=_name)

        module = ModuleType(f"preprocess.{place}")
        module.load = load
        monkeypatch.setitem(sys.modules, f"preprocess.{place}", module)
        parent = __import__(f"preprocess.{package}", fromlist=["x"])
        monkeypatch.setattr(parent, name, module, raising=False)
    monkeypatch.setattr(weights, "locate", lambda name, root: root / name)
    monkeypatch.setattr(weights, "checksum", lambda name, root: f"sum of {name}")
    monkeypatch.setattr(annotators.makers, "software", lambda choice: {})
    return loads


def load(choice, root, records=None):
    return annotators.load(choice, root, hardware=HARDWARE, records=records)


def test_the_papers(stubs, tmp_path):
    choice = AnnotatorChoice(
        *("grounded-sam", "openpose", "openpose", ("midas", "hdnet"), False, "center"),
        *("all", "central", "vit_b", True),
    )
    loaded = load(choice, tmp_path)
    ((name, (locate,), options),) = stubs["grounded_sam"]
    assert name == "grounded-sam"
    assert locate("sam/x") == tmp_path / "sam/x"
    assert options == {
        "sam": "vit_b",
        "people": "all",
        "person": "central",
        "smooth": True,
        "device": "cuda",
        "half": True,
        "batch": 7,
    }
    ((name, _, options),) = stubs["openpose"]
    assert options == {
        "people": "all",
        "person": "central",
        "hands_and_face": False,
        "smooth": False,
        "device": "cuda",
        "half": True,
        "batch": 7,
    }
    for depth in ("hdnet", "midas"):
        ((name, (locate,), options),) = stubs[depth]
        assert (name, options) == (depth, {"device": "cuda", "half": True, "batch": 7})
    assert [depth.name for depth in loaded.depths] == ["hdnet", "midas"]
    assert loaded.tracker is None
    assert loaded.mask_of_frame is loaded.mask
    assert loaded.records["mask"].weights["sam/sam_vit_b_01ec64.pth"] == (
        "sum of sam/sam_vit_b_01ec64.pth"
    )


def test_dwpose_and_a_model_of_the_users(stubs, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes(b"{}")
    choice = AnnotatorChoice("none", "dwpose", "dwpose", (f"hf:{tmp_path}",), crop="none")
    loaded = load(choice, tmp_path)
    ((_, _, options),) = stubs["dwpose"]
    assert options == {
        "people": "one",
        "person": "largest",
        "smooth": True,
        "device": "cuda",
        "batch": 7,
    }
    ((name, (model,), options),) = stubs["huggingface"]
    assert (name, model) == (f"hf:{tmp_path.name}", str(tmp_path))
    assert loaded.mask is loaded.mask_of_frame is None


def test_a_model_that_changed_since_the_plan_is_refused(stubs, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes(b"{}")
    choice = AnnotatorChoice("none", "none", depth=(f"hf:{tmp_path}",), crop="none")
    planned = makers.records(choice)
    load(choice, tmp_path, records=planned)
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match=r"other files here .* copy one folder"):
        load(choice, tmp_path, records=planned)


def test_lite_depth_uses_the_chosen_masks_or_its_own(stubs):
    root = weights.folder()
    lite = load(AnnotatorChoice("none", "none", depth=("lite",)), root)
    assert type(lite.mask).__name__ == "LiteMask"
    assert lite.mask_of_frame is None
    mixed = load(AnnotatorChoice("grounded-sam", "none", depth=("lite",)), root)
    assert mixed.mask.name == "grounded_sam"


def test_missing_files_and_packages_are_named(tmp_path):
    choice = AnnotatorChoice("none", "dwpose", depth=("none",), crop="center")
    with pytest.raises(InputError, match=r"dwpose/.*onnx"):
        annotators.load(choice, tmp_path)
