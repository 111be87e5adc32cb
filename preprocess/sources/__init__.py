"""Sources: datasets in their published layouts, listed as videos. Importing this loads nothing."""

from typing import Literal

__all__ = ["CUTLESS_DATASETS", "IMAGE_DATASETS", "PUBLISHED_SPLITS", "DatasetName"]

DatasetName = Literal[
    "tiktok",
    "ntu120",
    "disco",
    "coco",
    "shhq",
    "deepfashion2",
    "laion",
    "videos",
    "images",
    "people",
]
# Their videos are single images.
IMAGE_DATASETS = ("coco", "shhq", "deepfashion2", "laion", "images")
# Their videos are known to have no cuts.
CUTLESS_DATASETS = (*IMAGE_DATASETS, "people")
# Their layouts say of every video whether it is train or val.
PUBLISHED_SPLITS = ("tiktok", "coco", "deepfashion2")
