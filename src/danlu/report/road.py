"""How far a run has come: the steps of the road, by the files they leave."""

from dataclasses import dataclass

from danlu.report import figures
from danlu.report.language import Text, tr
from danlu.report.reading import ALIGNMENT_STEPS, RunFiles


@dataclass(frozen=True)
class Step:
    """One step of the road."""

    key: str
    name: Text
    done: bool
    seconds: Text | None
    """How long it took, where its record says."""

    @property
    def pending(self) -> Text:
        """That it has not run yet, in words."""
        return tr("pending", step=self.name)


def road(files: RunFiles) -> tuple[Step, ...]:
    """The steps in order; those of the alignment once it has begun."""
    done: dict[str, object] = {
        "corpus": files.corpus,
        "tokens": files.tokens,
        "ladder": files.points,
        "fit": files.fit,
        "forecast": files.forecast,
        "pretrain": files.result,
        "verdict": files.verdict,
        "evaluation": files.evaluation,
    }
    if files.aligned_steps:
        done |= {step: step in files.aligned_steps for step in ALIGNMENT_STEPS}
    return tuple(
        Step(
            key=key,
            name=tr(f"step.{key}"),
            done=bool(left),
            seconds=figures.seconds(files.step_seconds[key]) if left and key in files.step_seconds else None,
        )
        for key, left in done.items()
    )
