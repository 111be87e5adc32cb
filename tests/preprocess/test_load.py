"""Loading: each annotator gets what was chosen for it, once, and nothing else is imported."""

import subprocess
import sys

import pytest

from preprocess import weights
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.errors import InputError
from preprocess.load import load
from preprocess.provenance import records


def test_what_is_not_chosen_is_not_loaded():
    nothing = load(AnnotatorChoice("none", "none", ("none",), crop="center"))
    assert (nothing.tracker, nothing.mask, nothing.pose, nothing.depths) == (None, None, None, ())
    cropping = load(AnnotatorChoice("source", "none", ("none",)))
    assert cropping.tracker is not None  # for the crop alone
    assert cropping.mask_of_frame is cropping.mask is not None


def test_lite_depth_needs_no_masks_of_others():
    lite = load(AnnotatorChoice("none", "none", ("lite",)))
    assert lite.mask is lite.mask_of_frame is None
    assert lite.tracker is not None
    assert len(lite.depths) == 1
    masked = load(AnnotatorChoice("lite", "none", ("lite",)))
    assert masked.mask is not None
    assert masked.mask_of_frame is None


def test_loading_the_lite_annotators_imports_no_torch():
    code = (
        "import sys; from preprocess.annotators.choices import AnnotatorChoice; "
        "from preprocess.load import load; load(AnnotatorChoice()); "
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_a_model_that_changed_since_the_plan_is_refused(tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes(b"{}")
    choice = AnnotatorChoice("none", "none", (f"hf:{tmp_path}",), crop="none")
    planned = records(choice)
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match=r"other files here .* copy the same files"):
        load(choice, tmp_path, records=planned)


def test_missing_files_and_packages_are_named(tmp_path):
    choice = AnnotatorChoice("none", "dwpose", ("none",), crop="center")
    with pytest.raises(InputError, match=r"dwpose/.*onnx"):
        load(choice, tmp_path)


def test_files_are_looked_for_in_the_folder_that_is_given(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        load(AnnotatorChoice(), tmp_path)
    assert weights.folder() != tmp_path
