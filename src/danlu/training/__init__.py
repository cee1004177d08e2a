"""The training loop and what it turns on: optimizer, schedule, checkpoints, distribution, metrics."""
