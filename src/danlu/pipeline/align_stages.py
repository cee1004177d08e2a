"""From the base model to an assistant: the stages after the verdict, as small functions from files to files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from danlu.alignment.road_config import AlignmentConfig, sized
from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.common.strict import to_mapping
from danlu.feedback.files import is_store
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.stage import Job, Stage

Results = Mapping[str, Any]


def alignment_stages(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages that this recipe's alignment has; none where nobody demonstrates anything.

    Raises:
        DanluError: further rounds are asked for, and nobody ranks what the policy says then.
    """
    if not recipe.fine_tunes:
        return ()
    if recipe.alignment.rounds > 1 and recipe.label == "none":
        raise DanluError(
            f"{recipe.alignment.rounds} rounds need somebody who ranks what the newest policy says.",
            "Give --label page, or --label simulated for the toy language; a file of rankings is for the first round.",
        )
    stages = [_DEMONSTRATIONS, _SFT]
    if recipe.learns_from_rankings:
        stages += [_RANKINGS, _REWARD, _PPO, *(_round(number) for number in range(2, recipe.alignment.rounds + 1))]
    return (*stages, _align(tuple(stage.name for stage in stages)))


def what_would_take_it_further(recipe: Recipe) -> str | None:
    """Where the road ends before there is an assistant: what is missing; None where nothing is."""
    if not recipe.fine_tunes:
        return (
            "The road ends at the base model: there are no demonstrations of how to answer. With a file of prompts and"
            " responses it goes on to an assistant: --demonstrations FILE, then --rankings FILE or --label page."
        )
    if not recipe.learns_from_rankings:
        return (
            "The road ends at the model that has seen the demonstrations: nobody ranks what it says. With rankings it"
            " goes on to a reward model and PPO: --rankings FILE, or --label page for people to rank at `danlu serve`."
        )
    return None


def settings_of(job: Job) -> AlignmentConfig:
    """The alignment's settings, with the sizes that the run's budget gives."""
    return sized(job.recipe.alignment, read_json(job.folder.budget)["flops"])


def _demonstrations(job: Job) -> Results:
    from danlu.alignment.material import own_material, page_material, toy_material, write_material
    from danlu.pipeline.aligning import fits_the_context

    config, recipe = settings_of(job), job.recipe
    fits = fits_the_context(job.folder.model, config.context, config.ppo.max_new_tokens)
    if config.demonstrations is None:
        material = toy_material(recipe.corpus.toy, config.prompts, fits)
    elif recipe.corpus.data == ("toy",) and config.prompts_file is None and is_store(Path(config.demonstrations)):
        material = page_material(Path(config.demonstrations), recipe.corpus.toy, config.prompts, fits)
    else:
        files = [None if path is None else Path(path) for path in (config.prompts_file, config.rankings)]
        material = own_material(Path(config.demonstrations), files[0], files[1], config.prompts.held_out)
    if recipe.label == "simulated" and material.instructions is None:
        raise DanluError(
            "simulated labellers know the toy language only, and these prompts are not of it.",
            "Give --rankings FILE, or let people rank: --label page.",
        )
    write_material(material, job.out)
    if too_long := material.notes.get("too_long"):
        job.report(f"{too_long:,} instructions are too long for answers of {config.ppo.max_new_tokens} tokens")
    job.report(
        f"{len(material.demonstrations):,} demonstrations; {len(material.comparisons):,} prompts to rank for,"
        f" {len(material.ppo):,} to practise on, {len(material.held_out):,} held out"
    )
    return {"demonstrations": len(material.demonstrations), "held_out": len(material.held_out)}


def _sft(job: Job) -> Results:
    from danlu.pipeline.aligning import fine_tune

    return fine_tune(job.folder, settings_of(job), job.recipe, job.out, job.report)


def _rankings(job: Job) -> Results:
    from danlu.pipeline.aligning import Round, rank

    return rank(Round(job.folder, 1), settings_of(job), job.recipe, job.out, job.report)


def _reward(job: Job) -> Results:
    from danlu.pipeline.aligning import Round, learn_reward

    return learn_reward(Round(job.folder, 1), settings_of(job), job.recipe, job.out, job.report)


def _ppo(job: Job) -> Results:
    from danlu.pipeline.aligning import Round, practise

    return practise(Round(job.folder, 1), settings_of(job), job.recipe, job.out, job.report)


def _further_round(job: Job, number: int) -> Results:
    from danlu.common.files import folder_atomic
    from danlu.pipeline.aligning import Round, learn_reward, practise, rank

    this, config = Round(job.folder, number), settings_of(job)
    if not this.rankings.exists():
        with folder_atomic(this.rankings) as temporary:
            rank(this, config, job.recipe, temporary, job.report)
    reward = learn_reward(this, config, job.recipe, this.reward, job.report)
    return {**reward, **practise(this, config, job.recipe, this.ppo, job.report)}


def _judge(job: Job) -> Results:
    from danlu.pipeline.align_judging import judge

    return judge(job.folder, settings_of(job), job.recipe, job.out, job.report)


def _user_files(*names: str) -> Any:
    """The files that a user named. The annotation page's store is none: people go on writing there while the road waits
    for their rankings, and what was read of it is in the run."""

    def sources(recipe: Recipe) -> Mapping[str, Sequence[Path]]:
        given = {name: getattr(recipe.alignment, name) for name in names}
        return {name: [Path(path)] for name, path in given.items() if path is not None and not is_store(Path(path))}

    return sources


def _find(recipe: Recipe, *names: str) -> None:
    for name in names:
        path = getattr(recipe.alignment, name)
        if path is not None and not Path(path).exists():
            flag = "--alignment.prompts-file" if name == "prompts_file" else f"--{name}"
            raise DanluError(f"there is no file {path} ({flag}).", "Check the path.")


def _read_once(recipe: Recipe) -> None:
    """Read the files that a user named, so that nobody learns after hours of training that one cannot be used."""
    from danlu.alignment.material import own_material
    from danlu.feedback.exchange import read_feedback

    config = recipe.alignment
    _find(recipe, "demonstrations", "prompts_file", "rankings")
    demonstrations, prompts, rankings = (
        None if path is None else Path(path) for path in (config.demonstrations, config.prompts_file, config.rankings)
    )
    if demonstrations is not None and not is_store(demonstrations):
        own_material(demonstrations, prompts, rankings, config.prompts.held_out)
    elif rankings is not None:
        read_feedback(rankings, wanted="rankings")


def _settings(*names: str, drawn: tuple[str, ...] = ()) -> Any:
    """Part of the alignment's settings; of PPO's, those named in `drawn`, which say how answers are drawn."""

    def settings(recipe: Recipe) -> Any:
        plain = to_mapping(recipe.alignment)
        part = {name: plain[name] for name in names}
        return {"alignment": part | ({"ppo": {name: plain["ppo"][name] for name in drawn}} if drawn else {})}

    return settings


def _ranked(*names: str, drawn: tuple[str, ...] = ()) -> Any:
    """Part of the settings, and how many prompts people rank, where it is people who do."""
    alone, with_people = _settings(*names, drawn=drawn), _settings(*names, "page_prompts", drawn=drawn)
    return lambda recipe: (with_people if recipe.label == "page" else alone)(recipe)


_DEMONSTRATIONS = Stage(
    name="demonstrations",
    does="how an assistant answers, and the prompts of each step",
    run=_demonstrations,
    outputs=(),
    settings=_settings("demonstrations", "prompts_file", "context", "prompts", "scale", drawn=("max_new_tokens",)),
    needs=("budget", "tokens", "pretrain"),
    sources=_user_files("demonstrations", "prompts_file"),
    check=_read_once,
)
_SFT = Stage(
    name="sft",
    does="step 1: the target learns from demonstrations",
    run=_sft,
    outputs=("sft/model/*", "sft/metrics.jsonl"),
    settings=_settings("context", "sft"),
    needs=("pretrain", "demonstrations"),
    writes="resumable",
    costly=True,
)
_RANKINGS = Stage(
    name="rankings",
    does="what it says, ranked",
    run=_rankings,
    outputs=(),
    settings=_ranked(
        *("label", "rankings", "completions", "opinions", "overlap", "held_out_rankings", "labeller"),
        drawn=("max_new_tokens", "temperature", "seed"),
    ),
    needs=("demonstrations", "sft"),
    sources=_user_files("rankings"),
    check=lambda recipe: _find(recipe, "rankings"),
)
_REWARD = Stage(
    name="reward",
    does="step 2: a reward model learns the rankings",
    run=_reward,
    outputs=("reward/model/**/*", "reward/**/metrics.jsonl", "reward/judged.json"),
    settings=_settings("reward"),
    needs=("demonstrations", "sft", "rankings"),
    writes="resumable",
    costly=True,
)
_PPO = Stage(
    name="ppo",
    does="step 3: the policy learns from the reward model",
    run=_ppo,
    outputs=("ppo/model/*", "ppo/metrics.jsonl"),
    settings=_settings("ppo"),
    needs=("tokens", "demonstrations", "sft", "reward"),
    writes="resumable",
    costly=True,
)


def _round(number: int) -> Stage:
    before = "ppo" if number == 2 else f"round-{number - 1}"
    return Stage(
        name=f"round-{number}",
        does=f"round {number}: what the newest policy says is ranked, and learned from",
        run=lambda job: _further_round(job, number),
        outputs=(f"round-{number}/rankings/*", f"round-{number}/*/model/**/*", f"round-{number}/**/metrics.jsonl"),
        settings=_ranked("completions", "opinions", "overlap", "held_out_rankings", "labeller", "reward", "ppo"),
        needs=("tokens", "demonstrations", "sft", "rankings", before),
        writes="resumable",
        costly=True,
    )


def _align(before: tuple[str, ...]) -> Stage:
    return Stage(
        name="align",
        does="the assistant beside the models it comes from, on held-out prompts",
        run=_judge,
        outputs=(),
        settings=_settings("rounds"),
        needs=("tokens", "pretrain", *before),
    )
