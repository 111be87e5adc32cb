"""SAM 3 (Meta, 2025) by `transformers`: people found by the word, and followed through the clip."""
