"""By what a dataset is made: records, software and weights, known without loading a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from preprocess import weights
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.spec import Record
from preprocess.errors import InputError
from preprocess.external_file import ExternalFile

__all__ = ["Provenance", "provenance", "records", "required_files", "software"]

# The packages of every build whose versions can change a dataset's bytes.
_SOFTWARE = ("idol-video", "ai-edge-litert", "av", "numpy", "opencv-python-headless", "pyarrow")


@dataclass(frozen=True)
class Provenance:
    """What `dataset.json` and samples say of the annotators.

    `records` are by modality; `software` are versions by package; `licences` are those of the
    registry's files that are used, by name.
    """

    records: Mapping[str, Record]
    software: Mapping[str, str]
    licences: Mapping[str, str]

    def weights(self) -> dict[str, dict[str, str]]:
        """Checksum and licence of each file that is used; a user's own model has its own terms."""
        return {
            name: {
                "sha256": checksum,
                "licence": self.licences.get(name, "see the model's own page"),
            }
            for record in self.records.values()
            for name, checksum in record.weights.items()
        }


def provenance(choice: AnnotatorChoice, root: str | Path | None = None) -> Provenance:
    """Check that all is there which `choice` needs, and say what it is.

    `root`: the folder of external files. Raises InputError for packages that are not installed
    and for files that are absent, damaged or changed, naming all that are missing.
    """
    versions = software(choice)
    files = required_files(choice)
    weights.require(files, root)
    return Provenance(records(choice, root), versions, {f.name: f.licence for f in files})


def records(choice: AnnotatorChoice, root: str | Path | None = None) -> dict[str, Record]:
    """Which annotator makes each modality, with the checksums of what it will load.

    Raises InputError for a file that has no published checksum and is absent.
    """
    return {
        modality: chosen.record(lambda file: weights.checksum(file.name, root))
        for modality, chosen in choice.chosen.items()
    }


def required_files(choice: AnnotatorChoice) -> tuple[ExternalFile, ...]:
    """The registry's files that loading the annotators will want, in the registry's order."""
    wanted = {file.name for chosen in choice.chosen.values() for file in chosen.files}
    return weights.files(*sorted(wanted)) if wanted else ()


def software(choice: AnnotatorChoice) -> dict[str, str]:
    """Versions of the packages that can change a dataset's bytes.

    Raises InputError, naming all of them, for packages that are not installed.
    """
    wanted = {
        package: f"{modality} by {chosen.title}"
        for modality, chosen in choice.chosen.items()
        for package in chosen.spec.packages
    }
    found, missing = {}, []
    for package in sorted({*_SOFTWARE, *wanted}):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        uses = sorted({wanted[package] for package in missing if package in wanted})
        raise InputError(
            f"not installed: {', '.join(missing)}, needed for {', '.join(uses) or 'every build'}. "
            "Install the paper's annotators with `make install-paper`."
        )
    return found
