"""Grounded-SAM: GroundingDINO finds people, Segment Anything cuts them out."""

from preprocess.annotators.grounded_sam.annotator import GroundedSam, load

__all__ = ["GroundedSam", "load"]
