"""Which model folder a path on the command line means."""

from pathlib import Path

from danlu.common.errors import DanluError


def model_folder(path: Path, *, assistant: bool = False) -> Path:
    """A model folder itself, or the trained target of a run (RUN/pretrain/model), or what another training wrote
    (OUT/model).

    Args:
        assistant: of a run that was aligned, the assistant (RUN/align/model).

    Raises:
        DanluError: there is no model.
    """
    aligned = (path / "align" / "model",) if assistant else ()
    for candidate in (path, *aligned, path / "pretrain" / "model", path / "model"):
        if (candidate / "config.json").exists():
            return candidate
    if (path / "recipe.toml").exists():
        raise DanluError(f"the run {path} has no trained model yet.", f"Let it finish: danlu run {path}")
    raise DanluError(f"there is no model in {path}.", "Give a model folder (with config.json) or a run folder.")
