"""Training one model to the end: steps, evaluation, and the model folder that everybody reads."""

from pathlib import Path

from danlu.common.files import read_json
from danlu.common.progress import Progress
from danlu.common.strict import from_mapping
from danlu.model.config import ModelConfig
from danlu.training.config import TrainingConfig


def train_target(
    model_config: ModelConfig, tokens: Path, horizon_tokens: int, config: TrainingConfig, out: Path, report: Progress
) -> "PretrainResult":
    ...
