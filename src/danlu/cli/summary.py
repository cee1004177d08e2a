"""What is printed at the end: the outcome, the page, the next commands."""

from pathlib import Path


def show_summary(run: Path) -> None:
    """Print the summary of a run folder."""
    from rich.console import Console

    from danlu.report.terminal import terminal_summary

    console = Console(highlight=False)
    console.print()
    console.print(terminal_summary(run))
    if (run / "report.html").exists():
        console.print(f"\nreport: {run / 'report.html'}", markup=False, soft_wrap=True)
