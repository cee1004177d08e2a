"""The chips: what each can do, what it draws and costs, and who says so. No torch here."""

from danlu.hardware.catalogue.chip import PRECISIONS, Chip, Figure, Price, TrainingRun
from danlu.hardware.catalogue.load import all_chips, catalogue_prices, find_chip, load_user_chips

__all__ = [
    "PRECISIONS",
    "Chip",
    "Figure",
    "Price",
    "TrainingRun",
    "all_chips",
    "catalogue_prices",
    "find_chip",
    "load_user_chips",
]
