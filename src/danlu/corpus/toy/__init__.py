"""The toy language: a small simulated world, told in English and in Chinese from one plan, of known entropy."""
