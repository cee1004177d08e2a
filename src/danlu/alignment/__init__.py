"""From a base model to an assistant: demonstrations, a reward model, PPO and its baselines, in rounds."""
