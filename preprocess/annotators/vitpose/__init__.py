"""ViTPose (Xu et al., NeurIPS 2022) and ViTPose++, by `transformers`."""
