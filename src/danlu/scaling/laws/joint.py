"""Laws that are not sums of powers: Kaplan's joint form, repeated data, routed models, a break, task accuracy."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from danlu.scaling.laws.law import Law, Parameter, Variable, coefficient, exponent

_N, _D = Variable("N", "parameters"), Variable("D", "tokens")


def _kaplan(shape: Mapping[str, Any], values: Mapping[str, Any]) -> list[Any]:
    ratio = shape["alpha_N"] / shape["alpha_D"]
    inside = np.exp(ratio * (np.log(shape["rho"]) - np.log(values["N"]))) + np.exp(-np.log(values["D"]))
    return [np.exp(shape["alpha_D"] * np.log(inside))]


def _kaplan_derived(parameters: Mapping[str, float]) -> dict[str, float]:
    # L = [(Nc/N)^(aN/aD) + Dc/D]^aD, with k = Dc^aD and rho = Nc Dc^(-aD/aN).
    tokens = parameters["k"] ** (1 / parameters["alpha_D"])
    return {"Dc": tokens, "Nc": parameters["rho"] * tokens ** (parameters["alpha_D"] / parameters["alpha_N"])}


KAPLAN = Law(
    name="kaplan",
    formula="L = k [(rho/N)^(alpha_N/alpha_D) + 1/D]^alpha_D",
    inputs=(_N, _D),
    parameters=(
        coefficient("k", "nats/token x tokens^alpha_D"),
        exponent("alpha_N", count=9),
        exponent("alpha_D", count=9),
        Parameter("rho", "parameters", "shape", 1e-30, 1e30, tuple(np.geomspace(1e-12, 1e12, 25).tolist())),
    ),
    basis=_kaplan,
    derived=_kaplan_derived,
    source="Kaplan et al. 2020, equation 1.5: [(Nc/N)^(alpha_N/alpha_D) + Dc/D]^alpha_D",
    aliases=("kaplan_joint",),
)
"""Kaplan's joint form of size and data, which has no floor."""


def critical_batch(loss: float, scale: float = 2e8, exponent_b: float = 0.21) -> float:
    """Tokens a step beyond which larger batches waste compute: B* / L^(1/alpha_B) (Kaplan et al. 2020, equation 5.3).

    Args:
        loss: nats per token.
        scale: B* (tokens); 2e8 in the text.
        exponent_b: alpha_B.
    """
    return float(scale / loss ** (1 / exponent_b))


def _worth(seen: Any, distinct: Any, half_life: Any) -> Any:
    """What `seen` units are worth when only `distinct` of them are new (Muennighoff et al. 2023, equation 5)."""
    repeats = seen / distinct - 1.0
    return distinct + distinct * half_life * (-np.expm1(-repeats / half_life))


def _data_constrained(shape: Mapping[str, Any], values: Mapping[str, Any]) -> list[Any]:
    distinct = np.minimum(values["U"], values["D"])
    useful = np.where(np.real(shape["rho"]) * distinct < values["N"], shape["rho"] * distinct, values["N"])
    tokens = _worth(values["D"], distinct, shape["R_D"])
    params = _worth(values["N"], useful, shape["R_N"])
    alpha = shape["alpha"]
    worn = np.exp(alpha * (np.log(shape["rho"]) - np.log(params))) + np.exp(-alpha * np.log(tokens))
    return [np.ones(()), worn]


def _data_constrained_derived(parameters: Mapping[str, float]) -> dict[str, float]:
    return {"A": parameters["B"] * parameters["rho"] ** parameters["alpha"]}


DATA_CONSTRAINED = Law(
    name="data_constrained",
    formula="L = E + B (rho^alpha/N'^alpha + 1/D'^alpha), D' = U + U R_D (1 - exp(-(D/U - 1)/R_D)), N' likewise",
    inputs=(_N, _D, Variable("U", "distinct tokens")),
    parameters=(
        coefficient("E", "nats/token"),
        coefficient("B", "nats/token x tokens^alpha"),
        Parameter("alpha", "", "shape", 0.03, 2.0, tuple(np.geomspace(0.12, 0.9, 10).tolist())),
        Parameter("rho", "parameters a token", "shape", 1e-4, 10.0, tuple(np.geomspace(3e-3, 1.0, 7).tolist())),
        Parameter("R_D", "passes", "shape", 0.1, 1e4, tuple(np.geomspace(2, 500, 7).tolist())),
        Parameter("R_N", "passes", "shape", 0.01, 1e4, tuple(np.geomspace(0.5, 500, 7).tolist())),
    ),
    basis=_data_constrained,
    derived=_data_constrained_derived,
    source="Muennighoff et al. 2023, section 3.2; A = B rho^alpha, since U_N is the best size for U distinct tokens",
    aliases=("muennighoff", "repeated"),
)
"""Loss when text is passed over more than once: the worth of further passes fades."""


def _routed(shape: Mapping[str, Any], values: Mapping[str, Any]) -> list[Any]:
    first, last = shape["E_start"], shape["E_max"]
    inner = values["experts"] - 1.0 + 1.0 / (1.0 / first - 1.0 / last)
    log_experts = -np.log(1.0 / inner + 1.0 / last)
    log_size = np.log(values["N"])
    return [log_size, log_experts, log_size * log_experts, np.ones(())]


ROUTED = Law(
    name="routed",
    formula="log L = a log N + b log E' + c log N log E' + d, 1/E' = 1/(E - 1 + (1/E_start - 1/E_max)^-1) + 1/E_max",
    inputs=(Variable("N", "parameters of the dense model"), Variable("experts", "experts")),
    parameters=(
        coefficient("a", "", free=True),
        coefficient("b", "", free=True),
        coefficient("c", "", free=True),
        coefficient("d", "log nats/token", free=True),
        Parameter("E_start", "experts", "shape", 0.1, 20.0, (0.6, 1.0, 1.5, 2.2, 3.2, 4.5)),
        Parameter("E_max", "experts", "shape", 22.0, 1e6, tuple(np.geomspace(40, 3e4, 12).tolist())),
    ),
    basis=_routed,
    link="log",
    source="Clark et al. 2022, equations 1 and 7",
    aliases=("clark", "moe"),
)
"""Loss of routed (mixture-of-experts) models of one number of tokens: experts help, ever less, and less at size."""


def _broken(shape: Mapping[str, Any], values: Mapping[str, Any]) -> list[Any]:
    log_x = np.log(values["C"])
    beyond = (log_x - np.log(shape["d"])) / shape["f"]
    past = np.real(beyond) > 0
    bend = np.log1p(np.exp(np.where(past, -beyond, beyond))) + np.where(past, beyond, 0.0)
    return [np.ones(()), np.exp(-shape["c0"] * log_x - shape["c1"] * shape["f"] * bend)]


BROKEN = Law(
    name="broken",
    formula="L = E + b C^-c0 (1 + (C/d)^(1/f))^(-c1 f)",
    inputs=(Variable("C", "FLOPs"),),
    parameters=(
        coefficient("E", "nats/token"),
        coefficient("b", "nats/token x FLOPs^c0"),
        Parameter("c0", "", "shape", 1e-3, 3.0, tuple(np.geomspace(0.01, 1.0, 7).tolist())),
        Parameter("c1", "", "shape", -3.0, 30.0, (-0.3, -0.1, 0.1, 0.5, 2.0, 8.0)),
        Parameter("d", "FLOPs", "shape", 1e-6, 1e40, spans="C"),
        Parameter("f", "", "shape", 0.02, 2.0, (0.05, 0.2, 0.8)),
    ),
    basis=_broken,
    source="Caballero et al. 2023, equation 1, with one break",
    aliases=("bnsl",),
)
"""A power law that changes its slope once."""


def _sigmoid(shape: Mapping[str, Any], values: Mapping[str, Any]) -> list[Any]:
    return [0.5 - 0.5 * np.tanh(0.5 * shape["k"] * (values["loss"] - shape["L0"])), np.ones(())]


SIGMOID = Law(
    name="sigmoid",
    formula="accuracy = b + a / (1 + exp(k (L - L0)))",
    inputs=(Variable("loss", "nats/token, or bits a byte"),),
    parameters=(
        coefficient("a", ""),
        coefficient("b", ""),
        Parameter("k", "per nat/token", "shape", 0.05, 100.0, tuple(np.geomspace(0.5, 30, 16).tolist())),
        Parameter("L0", "nats/token", "shape", 0.001, 100.0, spans="loss"),
    ),
    basis=_sigmoid,
    response="share",
    source="Bhagia et al. 2024 (OLMo ladders), step 2",
    aliases=("accuracy",),
)
"""From a task's loss to its accuracy: the second of two steps."""
