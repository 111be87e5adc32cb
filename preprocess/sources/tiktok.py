"""TikTok: `TikTok_dataset/{00001..00340}/{images,masks,densepose}/0001.png`, 604x1080, 30 fps."""

from collections.abc import Callable, Iterable
from pathlib import Path

from preprocess.errors import InputError
from preprocess.frames import FrameFolder
from preprocess.sources.files import Leftovers, find_files, numerically
from preprocess.sources.numbers import distinct, frame_numbers
from preprocess.sources.values import Listing, Unreadable, Video

__all__ = ["listing"]

FPS = 30.0
HELD_OUT = range(335, 341)  # the public split by folder: 1-334 train, 335-340 held out
FRAME_SUFFIXES = (".png", ".jpg", ".jpeg")


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video a numbered folder. `source` is `TikTok_dataset` or the folder that holds it.

    Raises InputError when no numbered folder with an `images` folder is found.
    """
    root = source / "TikTok_dataset" if (source / "TikTok_dataset").is_dir() else source
    folders = sorted(
        (p.parent for p in root.glob("*/images") if p.is_dir() and p.parent.name[0] != "."),
        key=lambda folder: numerically(folder.name),
    )
    if not folders:
        raise InputError(
            f"{source} is not in TikTok's layout: expected TikTok_dataset/00001/images/0001.png"
        )
    left = Leftovers(source)
    _other_entries(root, folders, left)
    videos: list[Video] = []
    unreadable: list[Unreadable] = []
    for folder in folders:
        frames = find_files(folder / "images", FRAME_SUFFIXES, left)
        on_file()
        if not frames:
            unreadable.append(Unreadable(folder.name, f"{folder / 'images'} has no frames"))
            continue
        kept, doubles = distinct(frame.stem for frame in frames)
        if doubles:
            first, second = doubles[0]
            unreadable.append(
                Unreadable(
                    folder.name,
                    f"{folder / 'images'}: {len(doubles)} images left out whose number another has "
                    f"(first: {first}, as {second})",
                )
            )
        frames = [frames[place] for place in kept]
        stems = [frame.stem for frame in frames]
        held_out = folder.name.isdecimal() and int(folder.name) in HELD_OUT
        videos.append(
            Video(
                folder.name,
                len(frames),
                FPS,
                FrameFolder(tuple(frames), FPS, frame_numbers(stems)),
                group=folder.name,
                split="val" if held_out else "train",
                densepose=_beside(folder / "densepose", stems),
                masks=_beside(folder / "masks", stems),
            )
        )
    return left.beside(Listing(tuple(videos), tuple(unreadable)))


def _other_entries(root: Path, folders: list[Path], left: Leftovers) -> None:
    """Name what lies beside the folders of videos."""
    for path in root.iterdir():
        if path.name.startswith("."):
            left.pass_over("hidden", str(path))
        elif path not in folders:
            kind = "folder without images" if path.is_dir() else "file beside the folders"
            left.pass_over(kind, str(path))


def _beside(folder: Path, stems: Iterable[str]) -> FrameFolder | None:
    """The images that belong to the frames of these names; None where the folder is absent.

    One that is missing is found out when it is read: builds that do not want it go on.
    """
    if not folder.is_dir():
        return None
    return FrameFolder(tuple(folder / f"{stem}.png" for stem in stems), FPS, data=True)
