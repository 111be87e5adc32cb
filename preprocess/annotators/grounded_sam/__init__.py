"""Grounded-SAM: GroundingDINO finds people, Segment Anything cuts them out."""
