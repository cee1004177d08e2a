"""Collectives over a two-level network: fast links inside a domain, slower ones between domains."""

import numpy as np

from danlu.planner.cases import Array, Cases
from danlu.planner.coefficients import Coefficients


def inside(cases: Cases, size: Array, stride: Array) -> Array:
    """Members of a group that share a domain.

    Args:
        size: members of the group.
        stride: distance of neighbours in it, in ranks (the product of the degrees placed before it).
    """
    return np.clip(np.floor(cases.domain / stride), 1.0, size)


def collective(cases: Cases, k: Coefficients, size: Array, stride: Array, volume: Array, messages: Array) -> Array:
    """Seconds of a reduce-scatter or an all-gather (an all-reduce takes twice that).

    Hierarchical ring: inside the domain all members pass `volume (d - 1) / d`, then every member passes its d-th part
    between the n domains (Thakur et al. 2005, section 4, on two levels).

    Args:
        volume: bytes of the whole tensor.
        messages: collectives that it is cut into; each pays its own latency.
    """
    near = inside(cases, size, stride)
    far = size / near
    wire = volume * (near - 1) / near / (cases.link_in * k.link_in)
    wire = wire + volume / near * (far - 1) / far / (cases.link_out * k.link_out)
    hops = k.latency_in * (near > 1) * (1 + np.log2(near)) + k.latency_out * (far - 1)
    return np.where(size > 1, wire + messages * hops, 0.0)


def exchange(cases: Cases, k: Coefficients, size: Array, volume: Array, copies: Array) -> Array:
    """Seconds in which every rank sends each of its tokens to experts spread over a group of `size` ranks.

    A copy goes to each expert by an ordinary all-to-all. A model that bounds the nodes of a token sends one copy to
    each of these instead, to be spread inside (DeepSeek-AI 2024, DeepSeek-V3, section 3.2.2). What stays inside the
    domain and what leaves it travel at the same time; the slower decides.

    Args:
        volume: bytes of one copy of a rank's tokens.
        copies: experts a token.
    """
    near = inside(cases, size, cases.expert_cut)
    domains = size / near
    within = volume * copies * (near - 1) / near / (cases.link_in * k.link_in)
    away = (domains - 1) / domains
    reached = away * np.where(cases.node_limit > 0, np.minimum(cases.node_limit, domains), copies)
    between = volume * reached / (cases.link_out * k.link_out)
    hops = k.latency_in * (1 + np.log2(size)) + np.where(domains > 1, k.latency_out, 0.0)
    return np.where(size > 1, np.maximum(within, between) + hops, 0.0)
