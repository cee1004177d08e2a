"""Muon orthogonalises; AdamW is AdamW; clipping scales."""

import pytest
import torch
from torch import nn

from danlu.training.optimizer import Optimizer, gradient_norm, orthogonalize, scale_gradients


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 24, 64), (2, 64, 24)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonalize_keeps_singular_vectors_and_levels_singular_values(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], shape[1], min(shape[1:]), generator=generator))
    right, _ = torch.linalg.qr(torch.randn(shape[0], shape[2], min(shape[1:]), generator=generator))
    singular = torch.logspace(-1.5, 0, min(shape[1:]))
    matrices = left * singular @ right.transpose(1, 2)
    got = orthogonalize(matrices.to(dtype)).float()
    want = left @ right.transpose(1, 2)
    values = torch.linalg.svdvals(got)
    assert values.min() > 0.8
    assert values.max() < 1.2
    cosine = (got * want).sum((1, 2)) / (got.norm(dim=(1, 2)) * want.norm(dim=(1, 2)))
    assert cosine.min() > 0.98


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Net(nn.Module):
    """A table and one block's matrix."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(10, 4))
        self.model = nn.Module()
        self.model.layers = nn.ModuleList([nn.Linear(4, 8, bias=False)])


def test_the_table_follows_adam():
    net, reference = Net(), torch.randn(10, 4)
    reference.copy_(net.table.detach())
    reference.requires_grad_()
    ours = Optimizer(net, 0.1, 0.01, 0.0, torch.float32)
    adam = torch.optim.Adam([reference], 0.01, betas=Optimizer.betas, eps=ours.eps)
    for step in range(5):
        gradient = torch.randn(10, 4)
        net.table.grad, reference.grad = gradient.clone(), gradient.clone()
        net.model.layers[0].weight.grad = torch.randn(8, 4)
        ours.step(step, 1.0)
        adam.step()
    torch.testing.assert_close(net.table, reference)


def test_a_matrix_moves_by_its_rate_in_spectral_norm():
    net = Net()
    before = net.model.layers[0].weight.detach().clone()
    net.table.grad = torch.zeros(10, 4)
    net.model.layers[0].weight.grad = torch.randn(8, 4)
    Optimizer(net, 0.1, 0.01, 0.0, torch.float32).step(0, 0.5)
    moved = torch.linalg.matrix_norm(net.model.layers[0].weight.detach() - before, 2)
    assert moved == pytest.approx(0.1 * 0.5 * (8 / 4) ** 0.5, rel=0.2)


def test_state_restores_by_filling_in_place():
    net = Net()
    first, second = (Optimizer(net, 0.1, 0.01, 0.0, torch.float32) for _ in range(2))
    net.table.grad, net.model.layers[0].weight.grad = torch.randn(10, 4), torch.randn(8, 4)
    first.step(0, 1.0)
    for name, tensor in second.state().items():
        tensor.copy_(first.state()[name])
    assert all(torch.equal(a, b) for a, b in zip(first.state().values(), second.state().values(), strict=True))
    assert any(tensor.any() for tensor in second.state().values())


def test_gradient_norm_and_scaling():
    net = Net()
    net.table.grad = torch.full((10, 4), 3.0)
    net.model.layers[0].weight.grad = torch.full((8, 4), 4.0)
    assert gradient_norm(net.parameters()) == pytest.approx((40 * 9 + 32 * 16) ** 0.5)
    scale_gradients(net.parameters(), torch.tensor(0.5))
    assert gradient_norm(net.parameters()) == pytest.approx((40 * 9 + 32 * 16) ** 0.5 / 2)
