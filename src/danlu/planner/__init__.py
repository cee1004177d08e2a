"""FLOPs, memory, step time, layout, money and schedule of a training run, with intervals; no GPU and no torch."""
