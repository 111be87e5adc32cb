"""COCO gives images of one person, with that person's mask, split as COCO is."""

import json
import shutil

import numpy as np
import pytest

from preprocess.errors import InputError
from preprocess.sources.registry import list_videos

WIDTH, HEIGHT = 90, 160
BOX = [[10, 20, 60, 20, 60, 120, 10, 120]]  # 50x100 of 90x160
CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "animal", "id": 18, "name": "dog"},
]


def person(image, **changes):
    return {
        "segmentation": BOX,
        "area": 5000.0,
        "iscrowd": 0,
        "image_id": image,
        "bbox": [10, 20, 50, 100],
        "category_id": 1,
        "id": 1000 + image,
        **changes,
    }


def image(number):
    name = f"{number:012d}.jpg"
    return {"license": 1, "file_name": name, "height": HEIGHT, "width": WIDTH, "id": number}


@pytest.fixture
def coco(tmp_path, write_image, real_frames):
    def write(split, annotations, images=(), kind="instances", folder=None):
        numbers = sorted({a["image_id"] for a in annotations} | set(images))
        content = {
            "info": {"description": "COCO 2017 Dataset"},
            "licenses": [{"id": 1, "name": "some"}],
            "images": [image(n) for n in reversed(numbers)],
            "annotations": annotations,
            "categories": CATEGORIES,
        }
        path = tmp_path / "annotations" / f"{kind}_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        for n in numbers:
            name = image(n)["file_name"]
            folder = folder or tmp_path / f"{split}2017"
            write_image(folder / name, real_frames[n % 8])
        return tmp_path

    return write


def ids(listing):
    return [int(video.id.split("/")[1]) for video in listing.videos]


def test_images_of_one_person_are_chosen(coco, real_frames, read):
    root = coco(
        "train",
        [
            person(1),
            person(1, category_id=18, area=9000.0),  # a dog does not count
            person(2),
            person(2),  # two people
            person(3, area=0.05 * WIDTH * HEIGHT),
            person(4, area=0.05 * WIDTH * HEIGHT - 1),  # too small
            person(5),
            person(5, iscrowd=1, segmentation={"counts": [1], "size": [1, 1]}),
            person(6, category_id=18),
        ],
        images=(7,),
    )
    coco("val", [person(8)])
    listing = list_videos("coco", root)
    assert listing.unreadable == ()
    assert [(v.id, v.frames, v.split) for v in listing.videos] == [
        ("train2017/000000000001", 1, "train"),
        ("train2017/000000000003", 1, "train"),
        ("val2017/000000000008", 1, "val"),
    ]
    image = read(listing.videos[0].reader)
    assert np.abs(image.astype(int) - real_frames[1]).mean() < 6  # a JPEG
    mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask[20:120, 10:60] = 255
    np.testing.assert_array_equal(read(listing.videos[0].masks), mask)


def test_keypoints_are_used_where_they_are(coco, tmp_path):
    people = [person(1, num_keypoints=6), person(2, num_keypoints=5), person(3, num_keypoints=17)]
    coco("train", people)
    root = coco("train", people, kind="person_keypoints")
    assert ids(list_videos("coco", root)) == [1, 3]
    (tmp_path / "annotations" / "person_keypoints_train2017.json").unlink()
    for entry in people:
        del entry["num_keypoints"]
    coco("train", people)
    assert ids(list_videos("coco", root)) == [1, 2, 3]


def test_images_may_lie_in_images(coco, tmp_path):
    root = coco("val", [person(1)], folder=tmp_path / "images" / "val2017")
    assert ids(list_videos("coco", root)) == [1]


def test_an_empty_folder_is_not_where_the_images_are(coco, tmp_path):
    root = coco("val", [person(1)], folder=tmp_path / "images" / "val2017")
    (tmp_path / "val2017").mkdir()
    assert ids(list_videos("coco", root)) == [1]


def test_an_old_copy_of_the_annotations_does_not_count(coco, tmp_path):
    root = coco("val", [person(1), person(2)])
    old = tmp_path / "z_old" / "instances_val2017.json"
    old.parent.mkdir()
    old.write_text((tmp_path / "annotations" / old.name).read_text().replace("5000.0", "1.0"))
    assert ids(list_videos("coco", root)) == [1, 2]
    shutil.move(tmp_path / "annotations", tmp_path / "a_new")
    with pytest.raises(InputError, match=r"a_new.* and .*z_old.* both annotate val2017/"):
        list_videos("coco", root)


def test_an_image_that_two_entries_name_is_told_and_left_out(coco, tmp_path):
    root = coco("val", [person(1), person(2), person(3)])
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.write_text(path.read_text().replace("000000000002.jpg", "000000000003.jpg"))
    listing = list_videos("coco", root)
    assert ids(listing) == [1]
    assert [u.reason for u in listing.unreadable] == [
        "annotations/instances_val2017.json names 1 images twice, the first is 000000000003.jpg"
    ]


def test_missing_images_and_folders_are_told(coco, tmp_path):
    root = coco("train", [person(1), person(2), person(3)])
    (tmp_path / "train2017" / "000000000002.jpg").unlink()
    coco("val", [person(4)])
    (tmp_path / "val2017" / "000000000004.jpg").unlink()
    listing = list_videos("coco", root)
    assert ids(listing) == [1, 3]
    assert [(u.id, u.reason) for u in listing.unreadable] == [
        (
            "train2017",
            "train2017 lacks 1 images of annotations/instances_train2017.json, the first is "
            "000000000002.jpg",
        ),
        (
            "val2017",
            "annotations/instances_val2017.json is there, but no image of val2017/ or "
            "images/val2017/",
        ),
    ]


def test_an_image_without_a_usable_outline_has_no_mask(coco):
    nowhere = [[float("nan"), 1, 2, 3, 4, 5]]
    wrong = [[], [[1, 2]], nowhere, {"counts": [5, -3, 9], "size": [1, 1]}]
    root = coco("train", [person(n, segmentation=s) for n, s in enumerate(wrong)])
    assert [video.masks for video in list_videos("coco", root).videos] == [None] * len(wrong)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"num_keypoints": "12"}, "num_keypoints '12'"), ({"area": float("nan")}, "area nan")],
)
def test_values_that_say_nothing_are_refused_by_name(coco, change, reason):
    root = coco("train", [person(1), person(2, **change)])
    with pytest.raises(InputError, match=rf"a person of image 2 has .*{reason}"):
        list_videos("coco", root)


def written(area=5000, **changes):
    """Annotations of one person."""
    content = {"images": [image(1) | changes], "annotations": [person(1, area=area)]}
    return json.dumps({**content, "categories": CATEGORIES})


def test_sizes_in_floating_point_are_sizes(coco, tmp_path, read):
    root = coco("train", [person(1)])
    (tmp_path / "annotations" / "instances_train2017.json").write_text(
        written(width=float(WIDTH), height=float(HEIGHT))
    )
    (video,) = list_videos("coco", root).videos
    assert read(video.masks).shape == (HEIGHT, WIDTH, 3)


def test_images_without_one_kind_of_ids_are_told(coco, tmp_path):
    root = coco("train", [person(1)])
    content = json.loads(written())
    content["images"].append(image(2) | {"id": "2"})
    content["annotations"].append(person(2, image_id="2"))
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="cannot be read as COCO's annotations: TypeError"):
        list_videos("coco", root)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"images": [], "annotations": [', "JSONDecodeError"),
        ('{"images": []}', "KeyError: 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', "category 1 is not `person`"),
        ("[]", "cannot be read as COCO's annotations"),
        pytest.param("[" * 100_000, "RecursionError", id="deep"),
        pytest.param(written(area=10**400), "OverflowError", id="huge"),
        (written(file_name=["a.jpg"]), r"file_name is \['a.jpg'\], not a name"),
        (written(width=float("inf")), "is inf by 160 pixels"),
        (written(height=160.5), "is 90 by 160.5 pixels"),
    ],
)
def test_annotations_that_cannot_be_used(coco, tmp_path, text, reason):
    root = coco("train", [person(1)])
    (tmp_path / "annotations" / "instances_train2017.json").write_text(text)
    with pytest.raises(InputError, match=reason):
        list_videos("coco", root)
