"""Mask annotators: who is the person, pixel by pixel."""
