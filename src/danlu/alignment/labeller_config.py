"""What a user may set about simulated labellers."""

from dataclasses import dataclass

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class LabellerConfig:
    """Simulated labellers."""

    annotators: int = 3
    """How many there are; each errs by chance of their own."""
    agreement: float = 0.75
    """Share of the pairs that neither calls equal on which two of them agree, from 0.5 to 1. People reach 0.72 to 0.77
    (Stiennon et al. 2020, section 3.3; Ouyang et al. 2022, section 3.4)."""
    tie_band: float = 0.03
    """Scores nearer than this are called equal (gold score)."""
    position_bias: float = 0.0
    """What standing first adds to a score, beside standing last (gold score)."""
    length_bias: float = 0.0
    """What e times the length adds to a score (gold score)."""
    seed: int = 0
    """Of the noise and of the order in which completions are shown."""

    def __post_init__(self) -> None:
        if self.annotators < 1:
            raise DanluError(f"there are {self.annotators} simulated labellers.", "Ask for at least one.")
        if not 0.5 < self.agreement <= 1.0:
            raise DanluError(
                f"simulated labellers cannot agree on {self.agreement:g} of the pairs.",
                "Give a share above 0.5 (lots drawn) and up to 1.",
            )
        if self.tie_band < 0.0:
            raise DanluError(f"the tie band is {self.tie_band:g}.", "Give 0 or more.")
