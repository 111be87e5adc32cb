"""Rendered people of whom everything is known: mask, joints, depth, flow and camera."""
