"""Named model sizes."""

PRESETS = {
    # Table 3 in Vaswani et al., 2017 (https://arxiv.org/abs/1706.03762).
    "base": {"num_layers": 6, "d_model": 512, "num_heads": 8, "d_ff": 2048, "dropout_rate": 0.1},
    "big": {"num_layers": 6, "d_model": 1024, "num_heads": 16, "d_ff": 4096, "dropout_rate": 0.3},
    # Wu et al., 2021 (https://arxiv.org/abs/2105.14462): for tens of thousands of sentence pairs.
    "tiny": {"num_layers": 4, "d_model": 128, "num_heads": 4, "d_ff": 256, "dropout_rate": 0.3},
}
