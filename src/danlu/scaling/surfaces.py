"""Every surface that a ladder's points allow, weighted by how well it fits: a forecast that stakes on no single law.

L = E + (A/N^(alpha/k) + B/D^(beta/k))^k. With k = 1 it is the surface of Hoffmann et al. 2022, where parameters and
tokens add up; with a small k and no constant it is the joint form of Kaplan et al. 2020, where parameters hardly matter
while tokens are few. Small ladders lie between the two (NOTES.md), and where they lie decides the forecast. So the
constant, k and the exponents run over a grid, A and B are least squares at each node, and a node counts with its
likelihood and the prior on its exponents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from danlu.scaling.laws import Array

FORMULA = "L = E + (A/N^(alpha/k) + B/D^(beta/k))^k"

_POWERS = tuple(float(k) for k in np.geomspace(0.2, 1.0, 8))
"""The Tang poems' points lie at 0.23, those of Python's library at 0.57, the toy's at 1 (NOTES.md, entry 49)."""
_FLOORS = tuple(float(share) for share in np.linspace(0.0, 0.7, 8))
"""The constant as a share of the lowest loss seen, where nothing is known of it."""
_TEXT_FLOORS = tuple(float(bits) for bits in np.linspace(0.0, 0.8, 9))
"""The constant of text in bits per byte. Printed English has 0.6 to 1.3 a letter (Shannon 1951); fits to large models'
losses come out near 0.55 (Hoffmann et al. 2022: 1.69 nats a token of some 4.4 bytes); code has less. Small ladders are
far above, and a constant near their losses makes what they forecast far ahead too high (NOTES.md)."""
_HIGHEST_FLOOR = 0.9
"""Most that it may be of the lowest loss seen."""
NODES = 31
_REACH = 4.0
"""How far the grid of each exponent goes from its prior's median (standard deviations of its logarithm)."""
_NOISE_WEIGHT = 4.0
"""How many points' worth of evidence stands behind the noise that is expected before any point is seen."""
_FREE = 4
"""Numbers that a surface takes from the points, about: A, B, and what the prior leaves open of the rest."""


@dataclass(frozen=True)
class Exponents:
    """What is expected of alpha and beta before any point is seen."""

    alpha: float
    beta: float
    """Medians."""
    alpha_spread: float
    beta_spread: float
    """Standard deviations of their logarithms."""


TEXT = Exponents(alpha=0.35, beta=0.33, alpha_spread=0.3, beta_spread=0.2)
"""Of any text: published fits have alpha .29 to .35 and beta .28 to .42 (Hoffmann et al. 2022; Besiroglu et al. 2024;
Muennighoff et al. 2023); danlu's smallest model has a beta of .33 to .40. Two or three sizes, a factor of two or three
apart, say little of alpha: a ladder quite left to find it forecasts worse (NOTES.md, entries 38, 45 and 47)."""
TOY = Exponents(alpha=0.70, beta=0.50, alpha_spread=0.08, beta_spread=0.05)
"""Of the toy language above its entropy, one kind of text whatever its seed: with these its forecasts hold at several
budgets and for several kinds of ladder (NOTES.md, entry 49)."""


@dataclass(frozen=True)
class Surfaces:
    """A weighted family of surfaces. Every array has one row for each of S surfaces."""

    weights: Array
    """Posterior probabilities (S,)."""
    floor: Array
    """E (nats per token) (S,)."""
    power: Array
    """k (S,)."""
    alpha: Array
    beta: Array
    """Exponents of N and D (S,)."""
    from_params: Array
    from_tokens: Array
    """A / N0^(alpha/k) and B / D0^(beta/k) (S,)."""
    covariance: Array
    """Variances of the two numbers before, and their covariance, from the points' noise (S, 3)."""
    params: float
    tokens: float
    """N0 and D0."""
    noise: float
    """Standard deviation of one point about the best surface (share of the loss)."""

    def predict(self, params: Array, tokens: Array) -> Array:
        """Loss (nats per token) of every surface at each place (S, places)."""
        by_params, by_tokens = self._columns(params, tokens)
        inner = self.from_params[:, None] * by_params + self.from_tokens[:, None] * by_tokens
        return np.asarray(self.floor[:, None] + inner ** self.power[:, None])

    def spread(self, params: Array, tokens: Array) -> Array:
        """Standard deviation that the points' noise leaves on a surface's prediction (share of the loss), the surfaces
        taken together, at each place (places,)."""
        by_params, by_tokens = self._columns(params, tokens)
        inner = self.from_params[:, None] * by_params + self.from_tokens[:, None] * by_tokens
        variances, both = self.covariance[:, :2], self.covariance[:, 2:]
        of_inner = by_params**2 * variances[:, :1] + by_tokens**2 * variances[:, 1:] + 2 * by_params * by_tokens * both
        power = self.power[:, None]
        slope = power * inner ** (power - 1) / (self.floor[:, None] + inner**power)
        return np.asarray(np.sqrt(self.weights @ (slope**2 * of_inner)))

    def _columns(self, params: Array, tokens: Array) -> tuple[Array, Array]:
        """What the two numbers are multiplied with at each place, each (S, places)."""
        log_n, log_d = np.log(params / self.params), np.log(tokens / self.tokens)
        one, two = np.outer(self.alpha / self.power, log_n), np.outer(self.beta / self.power, log_d)
        return np.exp(-one), np.exp(-two)

    def quantiles(self, params: Array, tokens: Array, probabilities: Sequence[float]) -> Array:
        """Weighted quantiles of the predicted losses at each place (probabilities, places)."""
        return _quantiles(self.predict(params, tokens), self.weights, probabilities)

    def floors(self, probabilities: Sequence[float]) -> Array:
        """Weighted quantiles of the constant (nats per token)."""
        return _quantiles(self.floor[:, None], self.weights, probabilities)[:, 0]

    def best(self) -> dict[str, float]:
        """The parameters of the likeliest surface, unrounded."""
        one = int(np.argmax(self.weights))
        power, alpha, beta = float(self.power[one]), float(self.alpha[one]), float(self.beta[one])
        return {
            "E": float(self.floor[one]),
            "A": float(self.from_params[one]) * self.params ** (alpha / power),
            "B": float(self.from_tokens[one]) * self.tokens ** (beta / power),
            "alpha": alpha,
            "beta": beta,
            "k": power,
        }


def fit_surfaces(
    params: Array,
    tokens: Array,
    losses: Array,
    weights: Array,
    *,
    seed_noise: float,
    entropy: float | None = None,
    bytes_per_token: float | None = None,
    exponents: Exponents = TEXT,
    nodes: int = NODES,
) -> Surfaces:
    """Weigh the surfaces by a ladder's points.

    Args:
        params, tokens: N and D (effective tokens) of the points, each (n,).
        losses: (n,), nats per token.
        weights: what each point counts (n,).
        seed_noise: expected run-to-run standard deviation (share of the loss).
        entropy: the source's exact entropy (nats per token), which then is the constant; below every loss.
        bytes_per_token: of the text, from which the constant's plausible values follow.
        exponents: what is expected of them.
        nodes: of the grid over each exponent.
    """
    assert entropy is None or entropy < losses.min()
    away = np.linspace(-_REACH, _REACH, nodes)
    powers, floors, alphas, betas = (
        axis.ravel()
        for axis in np.meshgrid(
            np.array(_POWERS),
            _floors(float(losses.min()), entropy, bytes_per_token),
            exponents.alpha * np.exp(exponents.alpha_spread * away),
            exponents.beta * np.exp(exponents.beta_spread * away),
            indexing="ij",
        )
    )
    above = losses - floors[:, None]  # (S, n)
    inner = above ** (1 / powers[:, None])
    # Least squares of the log loss, linear in A and B: d ln L = k (L - E) / L d ln(inner).
    scale = np.sqrt(weights) * powers[:, None] * above / losses / inner
    by_params = np.exp(-np.outer(alphas / powers, np.log(params / params.max())))
    by_tokens = np.exp(-np.outer(betas / powers, np.log(tokens / tokens.max())))
    from_params, from_tokens, covariance = _two_columns(by_params * scale, by_tokens * scale, inner * scale)
    fitted = from_params[:, None] * by_params + from_tokens[:, None] * by_tokens
    residuals = np.log((floors[:, None] + fitted ** powers[:, None]) / losses)
    squares = np.sum(weights * residuals**2, axis=1)
    freedom = max(float(weights.sum()) - _FREE, 0.0)
    variance = (_NOISE_WEIGHT * seed_noise**2 + squares.min()) / (_NOISE_WEIGHT + freedom)
    unlikely = (np.log(alphas / exponents.alpha) / exponents.alpha_spread) ** 2
    unlikely += (np.log(betas / exponents.beta) / exponents.beta_spread) ** 2
    log_weights = -0.5 * (squares / variance + unlikely)
    posterior = np.exp(log_weights - log_weights.max())
    return Surfaces(
        weights=posterior / posterior.sum(),
        floor=floors,
        power=powers,
        alpha=alphas,
        beta=betas,
        from_params=from_params,
        from_tokens=from_tokens,
        covariance=variance * covariance,
        params=float(params.max()),
        tokens=float(tokens.max()),
        noise=float(np.sqrt(variance)),
    )


def _floors(lowest: float, entropy: float | None, bytes_per_token: float | None) -> Array:
    """The values of the constant that are tried (nats per token)."""
    if entropy is not None:
        return np.array([entropy])
    if bytes_per_token is None:
        return np.array(_FLOORS) * lowest
    floors = np.array(_TEXT_FLOORS) * np.log(2) * bytes_per_token
    return np.asarray(floors[floors <= _HIGHEST_FLOOR * lowest])


def _two_columns(one: Array, two: Array, target: Array) -> tuple[Array, Array, Array]:
    """Non-negative a, b of least squares a one + b two = target, for each row (S, n), and their variances and
    covariance (S, 3) for targets of unit variance."""
    s11, s22, s12 = (one * one).sum(1), (two * two).sum(1), (one * two).sum(1)
    r1, r2 = (one * target).sum(1), (two * target).sum(1)
    determinant = np.maximum(s11 * s22 - s12**2, 1e-12 * s11 * s22)
    a, b = (r1 * s22 - r2 * s12) / determinant, (r2 * s11 - r1 * s12) / determinant
    a, b = np.where(b < 0, r1 / s11, a), np.where(a < 0, r2 / s22, b)
    covariance = np.stack([s22, s11, -s12], axis=1) / determinant[:, None]
    return np.maximum(a, 0.0), np.maximum(b, 0.0), covariance


def _quantiles(values: Array, weights: Array, probabilities: Sequence[float]) -> Array:
    """Weighted quantiles of each column of (S, places): (probabilities, places)."""
    order = np.argsort(values, axis=0)
    ranked = np.take_along_axis(values, order, axis=0)
    reached = np.cumsum(weights[order], axis=0)
    found = [
        [np.interp(p * reached[-1, place], reached[:, place], ranked[:, place]) for place in range(values.shape[1])]
        for p in probabilities
    ]
    return np.array(found)
