"""What `danlu ppo` and `danlu grpo` do alike: say what is coming, learn, say what came."""

from pathlib import Path

from danlu.alignment.ppo_config import GRPOConfig, PPOConfig
from danlu.cli.model_folder import model_folder
from danlu.cli.parse import continue_folder
from danlu.common.duration import Duration, format_count
from danlu.common.files import sha256_file
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping

_TRIED_TOKENS = 2048
"""Tokens of the training step that a promise of time rests on."""


def learning_verb(
    verb: str,
    model: Path,
    prompts: Path,
    reward: str,
    config: PPOConfig | GRPOConfig,
    out: Path,
    *,
    value: Path | None = None,
    pretraining: Path | None = None,
    main_process: bool = True,
) -> None:
    """Run the verb.

    Raises:
        DanluError: something that was given cannot be used.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    report = Progress(silent=not main_process)
    folder = model_folder(model)

    from danlu.alignment.from_rewards import Policy, learn_from_rewards
    from danlu.pipeline.budget import format_rate
    from danlu.pipeline.pace import training_rate
    from danlu.training.config import TrainingConfig

    policy = Policy.load(folder)
    queries = policy.queries(prompts, config.max_new_tokens, report)
    shape = policy.config
    length = sum(len(query.tokens) for query in queries) / len(queries) + config.max_new_tokens
    episodes = config.iterations * config.batch_size
    # A token is read once by each of: sampling, policy, reference, value network and reward model; and learned from by
    # policy and value network in each epoch (three passes' worth).
    networks = 2 if isinstance(config, PPOConfig) else 1
    passes = 4 + (networks - 1) + 3 * networks * config.epochs
    flops = passes * episodes * length * shape.flops_per_token(round(length), backward=False)
    training = TrainingConfig(
        context=round(length), batch_tokens=_TRIED_TOKENS, device=config.device, precision=config.precision
    )
    rate = training_rate(shape, _TRIED_TOKENS, training)
    report(
        f"{episodes:,} responses of up to {config.max_new_tokens} tokens to {len(queries):,} prompts"
        f" ({episodes / len(queries) / getattr(config, 'group_size', 1):.2g} passes), by a model of"
        f" {format_count(shape.num_parameters())} parameters: {config.iterations:,} batches, at most"
        f" {format_count(flops)} FLOPs, about {Duration(flops / rate, 'seconds')} at the {format_rate(rate)} of a"
        " training step (measured)"
    )
    report(f"writes to {out}")
    settings = {
        "model": sha256_file(folder / "config.json"),
        "prompts": sha256_file(prompts),
        "reward": reward,
        "value": None if value is None else str(value),
        "pretraining": None if pretraining is None else str(pretraining),
        verb: to_mapping(config),
    }
    with continue_folder(out, verb, settings), report.indented():
        result = learn_from_rewards(policy, queries, reward, config, out, report, value=value, pretraining=pretraining)
    report(
        f"score {result.first_score:.3f} -> {result.score:.3f} at a KL of {result.kl:.2f} nats a response,"
        f" {result.episodes:,} responses at {result.episodes_per_second:.3g} a second; wrote {out / 'model'}"
    )
    report(f"next: danlu chat {out / 'model'}")
