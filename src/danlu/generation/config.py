"""How text is drawn from a model."""

from dataclasses import dataclass

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is chosen, and when to stop. The order of the filters is temperature, top_k, top_p, min_p."""

    temperature: float = 0.8
    """Divides the logits: below 1 sharpens the distribution, above 1 flattens it; 0 takes the likeliest token."""
    top_k: int = 0
    """Only this many of the likeliest tokens are considered; 0 considers all."""
    top_p: float = 0.95
    """Only the likeliest tokens that together have this probability are considered (Holtzman et al. 2020); 1: all."""
    min_p: float = 0.0
    """Tokens less likely than this fraction of the likeliest one are not considered (Nguyen et al. 2024)."""
    max_new_tokens: int = 128
    """Most tokens added to a prompt; the model's context may end it sooner."""
    stop: tuple[str, ...] = ()
    """Texts that end a generation; they are left out of its text."""
    seed: int = 0
    """Of the random streams, one for each prompt."""

    def __post_init__(self) -> None:
        bounds = {
            "temperature": (0.0, float("inf"), "0 or more"),
            "top_k": (0, float("inf"), "0 or more"),
            "top_p": (1e-6, 1.0, "above 0 and at most 1"),
            "min_p": (0.0, 1.0, "from 0 to 1"),
            "max_new_tokens": (1, float("inf"), "1 or more"),
        }
        for name, (low, high, allowed) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high or value == float("inf"):
                raise DanluError(f"{name} is {value:g}.", f"It must be {allowed}.")
        if 0 < self.temperature < 1e-3:
            raise DanluError(
                f"temperature is {self.temperature:g}.", "Take 0 for the likeliest token, or 0.001 or more."
            )
        if "" in self.stop:
            raise DanluError("a stop text is empty.", "Leave it out.")
