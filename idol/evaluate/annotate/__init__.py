"""Annotators run on generated frames, for the rows that estimate pose or depth afterwards."""
