import pytest
import torch
from torch import nn

from mmreid.models.layers import DenseEncoder


def encoder(**options):
    torch.manual_seed(0)
    made = DenseEncoder(5, 3, 7, **options)
    nn.init.uniform_(made.norm.weight, 0.5, 1.5)
    nn.init.normal_(made.norm.bias)
    nn.init.normal_(made.norm.running_mean, std=0.1)
    nn.init.uniform_(made.norm.running_var, 0.5, 1.5)
    return made


def by_hand(made, x, mean, var):
    """One row at a time: linear, ReLU, norm, linear."""
    rows = []
    for row in x:
        hidden = (made.hidden.weight @ row + made.hidden.bias).clamp(min=0)
        hidden = (hidden - mean) / (var + 1e-5).sqrt() * made.norm.weight + made.norm.bias
        rows.append(made.code.weight @ hidden + made.code.bias)
    return torch.stack(rows)


def test_layers_of_the_paper():
    made = DenseEncoder(1024, 128)
    assert {name: tuple(p.shape) for name, p in made.named_parameters() if p.dim() == 2} == {
        'hidden.weight': (1024, 1024), 'code.weight': (128, 1024)}
    assert made.norm.num_features == 1024


def test_evaluation_and_training_by_hand():
    made, x = encoder(), torch.randn(6, 5)
    torch.testing.assert_close(made.eval()(x), by_hand(made, x, made.norm.running_mean, made.norm.running_var))
    hidden = made.hidden(x).relu()
    torch.testing.assert_close(made.train()(x), by_hand(made, x, hidden.mean(0), hidden.var(0, correction=0)))


def test_a_single_row_in_training_is_as_in_evaluation_and_leaves_the_statistics():
    made, x = encoder(), torch.randn(1, 5)
    expected = made.eval()(x)
    before = {key: value.clone() for key, value in made.state_dict().items()}
    assert torch.equal(made.train()(x), expected)
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
    made(torch.randn(2, 5))
    assert not torch.equal(made.norm.running_mean, before['norm.running_mean'])


def test_a_single_row_gives_every_parameter_its_gradient():
    made, x = encoder().train(), torch.randn(1, 5, requires_grad=True)
    made(x).square().sum().backward()
    found = [p.grad.clone() for p in made.parameters()], x.grad.clone()
    made.zero_grad()
    again = x.detach().requires_grad_()
    by_hand(made, again, made.norm.running_mean, made.norm.running_var).square().sum().backward()
    torch.testing.assert_close(found, ([p.grad for p in made.parameters()], again.grad))


@pytest.mark.parametrize('sizes', [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match='must be positive, got 0'):
        DenseEncoder(*sizes)
