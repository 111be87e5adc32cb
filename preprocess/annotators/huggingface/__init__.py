"""Any depth model of the `transformers` library: Depth Anything, DPT, ZoeDepth, DepthPro, ..."""
