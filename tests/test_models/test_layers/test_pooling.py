import pytest
import torch

from mmreid.models.layers import GlobalPool, build_pool


def test_average_and_maximum():
    x = torch.arange(12.0).view(1, 2, 2, 3)
    assert GlobalPool('avg')(x).tolist() == [[2.5, 8.5]]
    assert GlobalPool('max')(x).tolist() == [[5.0, 11.0]]


def test_gem_formula():
    x, pool = torch.randn(2, 3, 4, 5), GlobalPool('gem', p=2.5)
    expected = x.clamp(min=1e-6).pow(2.5).mean((2, 3)).pow(1 / 2.5)
    torch.testing.assert_close(pool(x), expected)


def test_gem_limits():
    x = torch.rand(2, 3, 4, 5) * 20 + 0.1
    torch.testing.assert_close(GlobalPool('gem', p=1)(x), GlobalPool('avg')(x))
    torch.testing.assert_close(GlobalPool('gem', p=2000)(x), GlobalPool('max')(x), rtol=5e-3, atol=0)


def test_gem_gradients():
    x = (torch.rand(2, 3, 2, 2, dtype=torch.float32) + 0.1).requires_grad_()
    pool = GlobalPool('gem')
    pool(x).sum().backward()
    step = 1e-2
    with torch.no_grad():
        pool.p += step
        above = pool(x).sum()
        pool.p -= 2 * step
        below = pool(x).sum()
    torch.testing.assert_close(pool.p.grad, (above - below) / (2 * step), rtol=1e-2, atol=1e-4)
    p = 3.0
    mean = x.detach().pow(p).mean((2, 3), keepdim=True)
    torch.testing.assert_close(x.grad, mean.pow(1 / p - 1) * x.detach().pow(p - 1) / 4)


def test_gem_of_zeros_and_halves():
    pool = GlobalPool('gem')
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pool(x).sum().backward()
    assert torch.isfinite(x.grad).all() and torch.isfinite(pool.p.grad)
    half = torch.full((1, 1, 64, 64), 200.0, dtype=torch.float16)
    assert pool(half).dtype == torch.float16 and pool(half).item() == 200


def test_build():
    assert build_pool('max').mode == 'max'
    assert build_pool(dict(type='GlobalPool', mode='gem', p=4.0)).p.item() == 4
    with pytest.raises(ValueError, match="'avg', 'max', 'gem'"):
        build_pool('mean')
    with pytest.raises(ValueError, match='positive'):
        GlobalPool('gem', p=0)
