"""Sources: datasets in their published layouts, listed as videos. Importing this loads nothing."""

from typing import Literal

__all__ = ["IMAGE_DATASETS", "DatasetName"]

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
