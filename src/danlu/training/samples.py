"""What a model writes as it trains: how it goes on from a few fixed texts, at each evaluation.

It is drawn by a hash of its own seed, so that nothing of the training's randomness is touched, and with the same seed
each time, so that what changes from one moment to the next is the model.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer
from torch.distributed.tensor import DTensor

from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.generation.generate import Generator
from danlu.hardware.device import choose_device, compute_dtype
from danlu.model.transformer import Transformer
from danlu.training.distributed import World
from danlu.training.run import whole_weights

_NEW_TOKENS = 32


class Sampler:
    """From a model to (prompt, continuation) for each prompt.

    Args:
        prompts: those that leave no room in a context are left out.
        context: the model's (tokens).
    """

    def __init__(self, tokenizer: Tokenizer, prompts: Sequence[str], context: int, seed: int) -> None:
        self._tokenizer = tokenizer
        self._prompts = [text for text in prompts if len(tokenizer.encode(text).ids) < context]
        self._config = SamplingConfig(max_new_tokens=_NEW_TOKENS, seed=seed)

    def __call__(self, model: Transformer, world: World) -> list[tuple[str, str]]:
        """Of a model that is shared out, one process gathers the weights in its main memory, as for the model's folder
        at the end, and writes; the others get nothing. Every process must ask.
        """
        if any(isinstance(parameter, DTensor) for parameter in model.parameters()):
            weights = whole_weights(model)
            if not world.is_main:
                return []
            decoder = Decoder(model.config, weights, compute_dtype(choose_device("cpu"), "auto"))
        else:
            decoder = Decoder.of(model)
        continued = Generator(decoder, self._tokenizer).generate(self._prompts, self._config)
        cut = "\N{REPLACEMENT CHARACTER}"  # a character that the last token began and did not end
        return [(prompt, each.text.rstrip(cut)) for prompt, each in zip(self._prompts, continued, strict=True)]
