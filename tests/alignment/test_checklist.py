"""The 40 details that reimplementations of RLHF have got wrong, and the test that holds each of ours.

Sources: N = Huang et al. 2023, "The N Implementation Details of RLHF with PPO"; N+ = Huang et al. 2024 (arXiv
2403.17031); I = InstructGPT (2203.02155); S = Stiennon et al. 2020 (2009.01325).
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

CHECKLIST: dict[int, tuple[str, tuple[str, ...]]] = {
    1: (
        "The reward model and the values read prompt and response, in the policy's template and tokens (N, N+)",
        ("alignment/test_from_rewards.py::test_the_reward_reads_prompt_and_response_up_to_the_end",),
    ),
    2: (
        "PAD is not EOS; refused at the start (N, N+)",
        (
            "tokens/test_chat.py::test_pad_as_end_is_refused",
            "alignment/test_ppo.py::test_padding_equal_to_an_end_token_is_refused",
        ),
    ),
    3: (
        "Prompts have a limit: over it they are dropped and counted, never cut (N+ cuts at a line end)",
        (
            "alignment/test_texts.py::test_too_long_prompts_are_dropped_and_counted_never_cut",
            "alignment/test_from_rewards.py::test_ppo_from_a_reward_model",
        ),
    ),
    4: (
        "Positions count real tokens: padding on the left changes no log-probability (N)",
        (
            "model/test_packing.py::test_a_text_in_a_row_of_many_has_its_own_logits",
            "alignment/test_rollout.py::test_padding_on_the_left_changes_no_logprob",
        ),
    ),
    5: (
        "The reward model's score is the same whichever side is padded (N+)",
        ("model/test_packing.py::test_a_score_is_read_at_the_last_real_token_wherever_the_text_stands",),
    ),
    6: (
        "No prompt is in training and validation both (I)",
        (
            "alignment/test_prompts.py::test_no_prompt_is_in_two_parts_and_every_part_is_full",
            "alignment/test_reward.py::test_no_prompt_is_on_both_sides_of_the_split",
        ),
    ),
    7: (
        "SFT's target is the response with its EOS; the prompt can be learned too, as an option (N+)",
        (
            "tokens/test_chat.py::test_the_response_and_its_end_are_the_assistants",
            "alignment/test_sft.py::test_learning_the_whole_conversation_is_an_option",
        ),
    ),
    8: (
        "The sampling distribution is the scored one (N)",
        ("alignment/test_rollout.py::test_behaviour_logprobs_are_the_scoring_forwards",),
    ),
    9: (
        "What is sampled behind EOS changes nothing (N)",
        ("alignment/test_rollout.py::test_what_comes_behind_the_first_end_token_is_dropped",),
    ),
    10: (
        "Logits are divided by the temperature in policy, behaviour and reference (N)",
        ("alignment/test_ppo.py::test_the_temperature_is_in_policy_and_reference",),
    ),
    11: ("No dropout during PPO (N)", ("alignment/test_ppo.py::test_no_dropout_anywhere",)),
    12: (
        "In the first minibatch the ratio is 1 and the KL 0 (N+)",
        ("alignment/test_ppo.py::test_the_first_minibatch_has_ratio_one_and_no_kl",),
    ),
    13: (
        "Seeds differ by process; prompts are reshuffled every pass (N)",
        (
            "alignment/test_rollout.py::test_processes_draw_different_responses_and_together_those_of_one",
            "alignment/test_experience.py::test_every_pass_has_each_query_once_in_another_order",
        ),
    ),
    14: (
        "The scalar head begins with deviation 1 / sqrt(d + 1) and bias 0 (N, S)",
        ("model/test_packing.py::test_a_score_model_begins_from_a_language_model_with_a_head_of_its_own",),
    ),
    15: (
        "The score is read at the last real token by index (N, N+)",
        ("alignment/test_reward.py::test_the_score_stands_at_the_last_token_wherever_that_is",),
    ),
    16: (
        "All pairs of a prompt are one element, weighing 1 / C(K, 2), ties dropped (I)",
        ("alignment/test_reward.py::test_the_loss_of_a_batch_is_that_of_its_pairs_one_by_one",),
    ),
    17: (
        "One epoch, a falling rate, accuracy on held-out prompts, several seeds (I, S)",
        ("alignment/test_reward.py::test_several_seeds_are_trained_and_the_best_is_kept",),
    ),
    18: (
        "Demonstrations score 0 on average, saved with the model (I, N+)",
        (
            "alignment/test_reward.py::test_it_learns_more_than_lengths_and_demonstrations_score_zero",
            "model/test_score.py::test_transformers_gives_the_same_score",
        ),
    ),
    19: (
        "Accuracy by margin, calibration, correlation with length (S)",
        ("alignment/test_reward.py::test_the_check_has_known_answers",),
    ),
    20: (
        "A response without EOS scores -1 instead of its score (N)",
        (
            "alignment/test_ppo.py::test_a_response_without_end_scores_minus_one_and_the_score_stands_on_the_last_token",
            "alignment/test_optimum.py::test_a_response_without_end_counts_as_minus_one",
        ),
    ),
    21: (
        "The reward is -beta KL at every response token, EOS too, and the score at the last (N)",
        ("alignment/test_maths.py::test_a_row_of_rewards_adds_up_to_score_less_penalty",),
    ),
    22: (
        "k1 in the reward; k2 and k3 as options, k3 without cancellation (N)",
        (
            "alignment/test_maths.py::test_kl_known_answers",
            "alignment/test_maths.py::test_k3_is_precise_and_never_negative_in_single_precision",
        ),
    ),
    23: ("gamma 1, lambda 0.95 (N)", ("alignment/test_ppo.py::test_presets_are_the_papers",)),
    24: (
        "The score stands on the EOS token, not behind it (our choice of the two conventions)",
        ("alignment/test_ppo.py::test_a_response_without_end_scores_minus_one_and_the_score_stands_on_the_last_token",),
    ),
    25: (
        "Values behind the end are 0 (N)",
        ("alignment/test_ppo.py::test_advantages_and_returns_are_made_once_a_batch",),
    ),
    26: (
        "Whitening over real tokens, global; rewards keep their mean, advantages do not (N)",
        (
            "alignment/test_maths.py::test_whiten_known_answers",
            "alignment/test_ppo_processes.py::test_ppo_is_the_same_on_one_and_two_processes",
        ),
    ),
    27: ("Adaptive KL (N)", ("alignment/test_maths.py::test_adaptive_kl_known_answers",)),
    28: (
        "Advantages and returns are computed once a batch (N)",
        ("alignment/test_ppo.py::test_advantages_and_returns_are_made_once_a_batch",),
    ),
    29: (
        "Ratio and value are clipped at 0.2; half the larger of the two value losses (N)",
        (
            "alignment/test_maths.py::test_policy_loss_known_answers",
            "alignment/test_maths.py::test_value_loss_known_answers",
        ),
    ),
    30: (
        "The value network is apart from the policy and begins as the reward model (N, S, I)",
        ("alignment/test_experience.py::test_the_values_begin_as_the_reward_model_or_as_zero",),
    ),
    31: ("Adam's epsilon is 1e-5, and set openly (N)", ("alignment/test_experience.py::test_adam_has_the_epsilon",)),
    32: (
        "Micro-batches change no gradient; every epoch permutes the batch (N)",
        (
            "alignment/test_ppo.py::test_micro_batches_do_not_change_the_gradient",
            "alignment/test_ppo.py::test_every_epoch_has_each_episode_once_in_another_order",
        ),
    ),
    33: (
        "The rate falls linearly to 0 (N, S) or rises from a tenth over 10 batches and stays (I)",
        ("alignment/test_experience.py::test_the_rate_rises_from_a_tenth_and_stays",),
    ),
    34: (
        "Pretraining gradients in the same step, as a mean a token (I)",
        ("alignment/test_ppo.py::test_ptx_is_the_mean_pretraining_loss_times_its_weight",),
    ),
    35: (
        "Averaged weights, which are what is saved (I)",
        ("alignment/test_ppo.py::test_the_average_follows_the_policy",),
    ),
    36: (
        "Weights and optimizer in fp32 whatever the arithmetic; the ratio is 1 in bf16 too (S)",
        ("alignment/test_ppo.py::test_the_first_minibatch_has_ratio_one_and_no_kl",),
    ),
    37: (
        "All metrics are masked means",
        ("alignment/test_ppo.py::test_masked_metrics_equal_a_loop_over_the_real_tokens",),
    ),
    38: (
        "Killed and continued equals uninterrupted, to the last bit",
        ("alignment/test_ppo.py::test_killed_and_continued_equals_uninterrupted",),
    ),
    39: (
        "Guards stop or warn",
        (
            "alignment/test_guards.py::test_each_guard_fires_for_its_own_reason",
            "alignment/test_ppo.py::test_a_guard_stops_the_run_and_keeps_what_was_learned",
        ),
    ),
    40: (
        "Gold beside the proxy against sqrt(KL), Gao's curves, best of n with its exact KL",
        (
            "alignment/test_overoptimisation.py::test_exact_points_give_the_coefficients_back",
            "alignment/test_best_of_n.py::test_the_kl_by_enumeration_is_the_formulas",
            "alignment/test_ppo.py::test_gold_is_reported_and_not_learned_from",
        ),
    ),
}


def test_there_are_forty() -> None:
    assert list(CHECKLIST) == list(range(1, 41))


@pytest.mark.parametrize("item", CHECKLIST)
def test_the_items_tests_exist(item: int) -> None:
    for name in CHECKLIST[item][1]:
        file, _, function = name.partition("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name
