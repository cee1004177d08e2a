"""Text from a model: a repacked decoder with a key-value cache, sampling whose randomness belongs to the prompt."""
