"""Bytes: stores, tars, and canonical JSON."""
