"""Pose annotators: where the joints are."""
