import copy

import pytest
import torch
from torch.autograd.gradcheck import GradcheckError, gradcheck

from mmreid.models.layers import GradientReversal


@pytest.mark.parametrize('coefficient', [0, 0.3, 1, 2.5])
def test_identity_forwards_and_minus_coefficient_backwards(coefficient):
    torch.manual_seed(0)
    layer, x = GradientReversal(coefficient), torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    assert torch.equal(layer(x), x)
    weights = torch.randn(3, 4, dtype=torch.double)
    plain, = torch.autograd.grad((x.sin() * weights).sum(), x)
    turned, = torch.autograd.grad((layer(x).sin() * weights).sum(), x)
    torch.testing.assert_close(turned, -coefficient * plain, rtol=1e-14, atol=0)


def test_jacobian_is_that_of_the_negated_function():
    """Numerical derivatives see the identity, so the analytic ones must be theirs times minus the coefficient."""
    layer, x = GradientReversal(0.7), torch.randn(5, dtype=torch.double)
    matrix = torch.randn(4, 5, dtype=torch.double)
    analytic = torch.autograd.functional.jacobian(lambda value: matrix @ layer(value), x)
    step = 1e-6
    numeric = torch.stack([(matrix @ layer(x + step * e) - matrix @ layer(x - step * e)) / (2 * step)
                           for e in torch.eye(5, dtype=torch.double)], dim=1)
    torch.testing.assert_close(analytic, -0.7 * numeric, rtol=1e-6, atol=1e-8)
    # Twice reversed with 1, gradients are those of the function itself, which gradcheck compares with differences.
    once = GradientReversal(1)
    assert gradcheck(lambda value: once(once(value).tanh()), x.requires_grad_())
    with pytest.raises(GradcheckError, match='mismatch'):
        gradcheck(once, x)


def test_what_stands_behind_is_trained_as_ever():
    torch.manual_seed(0)
    front, back, x = torch.nn.Linear(4, 3), torch.nn.Linear(3, 1), torch.randn(6, 4)
    grads = {}
    for name, middle in dict(plain=torch.nn.Identity(), turned=GradientReversal(2)).items():
        front.zero_grad(), back.zero_grad()
        back(middle(front(x))).square().mean().backward()
        grads[name] = [copy.deepcopy([p.grad for p in part.parameters()]) for part in (front, back)]
    torch.testing.assert_close(grads['turned'][1], grads['plain'][1])
    torch.testing.assert_close(grads['turned'][0], [-2 * grad for grad in grads['plain'][0]])


def test_coefficient_may_change_and_is_no_state():
    layer, x = GradientReversal(), torch.ones(2, requires_grad=True)
    out = layer(x)
    layer.coefficient = 5  # the one of the forward pass counts
    out.sum().backward()
    assert x.grad.tolist() == [-1, -1]
    assert not layer.state_dict() and 'coefficient=5' in repr(layer)


@pytest.mark.parametrize('value', [-1, -1e-9, float('nan'), float('inf')])
def test_coefficients_that_reverse_nothing(value):
    with pytest.raises(ValueError, match='at least 0 and finite'):
        GradientReversal(value)
    layer = GradientReversal()
    with pytest.raises(ValueError, match='at least 0 and finite'):
        layer.coefficient = value
    assert layer.coefficient == 1
