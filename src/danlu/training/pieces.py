"""How many tokens go through a model at once."""

import torch

from danlu.hardware.memory import total_memory
from danlu.model.config import ModelConfig

_CPU_TOKENS = 16384, 8192, 4096
"""On a processor: the first whose activations take no more than `_CPU_BYTES`, or else the last. A product of more rows
comes nearer to the peak (NOTES.md, entries 49 and 50)."""
_CPU_BYTES = 3 * 2**29
_ACCELERATOR_TOKENS = 65536
"""On an accelerator more than this is no faster."""
_LEAST_TOKENS = 1024
_USABLE = 0.9
"""Of an accelerator's memory; the rest is its driver's, and lost between allocations."""
_UNKNOWN_MEMORY = 16 * 2**30
"""What an accelerator is taken to have whose driver does not say."""
_STATE_BYTES = 16
"""A parameter's, trained: weight, gradient and Adam's two moments, fp32."""
_LOGITS_BYTES = 3 * 2**30
"""The passes over logits (see `model.ops`)."""


def tokens_at_once(model: ModelConfig, device: torch.device, processes: int = 1, *, trained: int = 1) -> int:
    """Tokens of a micro-batch where nobody says how many: a function of model and machine alone.

    A token's activations are counted as a block without compilation keeps them, twice what the products read: 2 bytes
    each for the block's input, two norms and the mixed values, queries, keys, values, and three times the inner width
    (seen on an H200 with 124M and 1B parameters: 1.0 to 1.1 times the products' inputs compiled, 2.1 times otherwise).

    Args:
        processes: over how many the weights and the optimizer's state are shared out.
        trained: how many such models are trained at once.
    """
    read = 5 * model.hidden_size + model.q_size + 2 * model.kv_size + 3 * model.intermediate_size
    token = 2 * 2 * read * model.num_hidden_layers
    if device.type == "cpu":
        return next((tokens for tokens in _CPU_TOKENS if tokens * token <= _CPU_BYTES), _CPU_TOKENS[-1])
    total = total_memory(device) or _UNKNOWN_MEMORY
    room = _USABLE * total - _LOGITS_BYTES - trained * _STATE_BYTES * model.num_parameters() / processes
    fits = int(room / (trained * token))
    if fits < _LEAST_TOKENS:
        return _LEAST_TOKENS
    return min(_ACCELERATOR_TOKENS, 1 << (fits.bit_length() - 1))
