"""Annotators: each computes modalities of a clip."""
