"""What a run is shown as: one HTML page, one picture, one summary in the terminal. Computes no results."""

from danlu.report.page import write_report
from danlu.report.poster import forecast_svg
from danlu.report.terminal import terminal_summary

__all__ = ["forecast_svg", "terminal_summary", "write_report"]
