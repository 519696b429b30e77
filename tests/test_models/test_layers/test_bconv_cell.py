import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from torch import nn

from mmreid.models.layers import BConvCell, latent_state_dict, load_latent_state_dict, reset_latent_states


class NaiveCell:
    """Eq. (1) row by row and gate by gate, with one Python list of states."""

    def __init__(self, cell, stride, padding, mode, smaller='keep'):
        weight, bias = cell.gates.weight.detach(), cell.gates.bias.detach()
        self.w = dict(zip('ifoc', weight.chunk(4), strict=True))
        self.b = dict(zip('ifoc', bias.chunk(4), strict=True))
        self.stride, self.padding, self.mode, self.smaller = stride, padding, mode, smaller
        self.slots = []

    def gate(self, name, row):
        return F.conv2d(row[None], self.w[name], self.b[name], self.stride, self.padding)[0]

    def __call__(self, x):
        outputs, states = [], []
        for n, row in enumerate(x):
            i, f, o = (1 / (1 + torch.exp(-self.gate(g, row))) for g in 'ifo')
            slot = 0 if self.mode == 'batch' else n
            previous = self.slots[slot] if slot < len(self.slots) else torch.zeros_like(i)
            states.append(f * previous + i * torch.tanh(self.gate('c', row)))
            outputs.append(o * torch.tanh(states[-1]))
        if self.mode == 'batch':
            self.slots = [sum(states) / len(states)]
        else:
            self.slots = states + (self.slots[len(x):] if self.smaller == 'keep' else [])
        return torch.stack(outputs)


def make_cell(**kwargs):
    torch.manual_seed(0)
    cell = BConvCell(3, 4, **kwargs)
    nn.init.normal_(cell.gates.bias)
    return cell


@pytest.mark.parametrize('mode, smaller', [('sample', 'keep'), ('sample', 'truncate'), ('batch', 'keep')])
@pytest.mark.parametrize('kernel, stride, padding', [(3, 1, 1), (7, 4, 3)])
def test_equals_naive_over_batches(mode, smaller, kernel, stride, padding):
    cell = make_cell(
        kernel_size=kernel, stride=stride, padding=padding, state_mode=mode, on_smaller_batch=smaller)
    naive = NaiveCell(cell, stride, padding, mode, smaller)
    for size in (3, 5, 2, 4, 4, 6, 1):
        x = torch.randn(size, 3, 8, 4)
        torch.testing.assert_close(cell(x), naive(x), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(cell.state, torch.stack(naive.slots), rtol=1e-5, atol=1e-6)


def test_sizes_of_the_state():
    keep, truncate = make_cell(), make_cell(on_smaller_batch='truncate')
    for cell, expected in ((keep, 5), (truncate, 2)):
        cell(torch.randn(5, 3, 4, 4))
        cell(torch.randn(2, 3, 4, 4))
        assert cell.state.shape == (expected, 4, 4, 4)


def test_without_bias():
    cell = BConvCell(3, 4, bias=False)
    assert [name for name, _ in cell.named_parameters()] == ['gates.weight']


def test_state_is_detached():
    cell = make_cell()
    first = torch.randn(2, 3, 4, 4, requires_grad=True)
    cell(first)
    assert not cell.state.requires_grad and cell.state.grad_fn is None
    cell(torch.randn(2, 3, 4, 4)).sum().backward()
    assert first.grad is None
    for name, gate in zip('ifoc', cell.gates.weight.grad.chunk(4), strict=True):
        assert gate.abs().max() > 1e-6, f'gate {name} learns nothing'


def test_state_is_replaced_not_overwritten():
    cell = make_cell()
    cell(torch.randn(4, 3, 4, 4))
    before, copied = cell.state, cell.state.clone()
    cell(torch.randn(2, 3, 4, 4))
    assert torch.equal(before, copied)


@pytest.mark.parametrize('mode', ['sample', 'batch'])
def test_evaluation_knows_no_history(mode):
    cell, x = make_cell(state_mode=mode), torch.randn(5, 3, 8, 8)
    fresh = cell.eval()(x)
    assert cell.state is None
    cell.train()
    for _ in range(3):
        cell(torch.randn(4, 3, 8, 8))
    state, copied = cell.state, cell.state.clone()
    cell.eval()
    assert torch.equal(cell(x), fresh)
    cell(torch.randn(2, 3, 6, 6))  # another size is fine in evaluation
    assert cell.state is state and torch.equal(state, copied)


def test_evaluation_knows_no_batch():
    cell, x = make_cell().eval(), torch.randn(5, 3, 8, 8)
    whole, order = cell(x), torch.randperm(5)
    torch.testing.assert_close(cell(x[order]), whole[order], rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.cat([cell(row[None]) for row in x]), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('mode', ['sample', 'batch'])
def test_autocast_keeps_the_state_float32(dtype, mode):
    # The input gate is nearly shut and the forget gate open: what is added each time is below the resolution of half
    # precision at 1, so a state kept in half precision would stand still.
    cell = BConvCell(1, 1, state_mode=mode)
    nn.init.zeros_(cell.gates.weight)
    with torch.no_grad():
        cell.gates.bias.copy_(torch.tensor([-9.0, 30.0, 0.0, 30.0]))
    cell.state = torch.ones(2 if mode == 'sample' else 1, 1, 4, 4)
    for _ in range(50):
        with torch.autocast('cpu', dtype=dtype):
            y = cell(torch.randn(2, 1, 4, 4))
        assert y.dtype == dtype and cell.state.dtype == torch.float32
    expected = torch.full_like(cell.state, 1 + 50 / (1 + math.exp(9)))
    torch.testing.assert_close(cell.state, expected, rtol=1e-4, atol=0)


def test_double_precision_is_not_lost():
    cell = make_cell().double()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: cell.eval()(v), x)


def test_change_of_size_in_training():
    cell = make_cell()
    cell(torch.randn(2, 3, 8, 4))
    with pytest.raises(ValueError, match=r'\(8, 4\).*\(4, 4\).*reset_latent_states'):
        cell(torch.randn(2, 3, 4, 4))
    cell.reset_state()
    cell(torch.randn(2, 3, 4, 4))


@pytest.mark.parametrize('mode', ['sample', 'batch'])
def test_compiles_in_one_graph(mode):
    cell, plain = make_cell(state_mode=mode), make_cell(state_mode=mode)
    compiled = torch.compile(cell, backend='eager', fullgraph=True)
    for size in (3, 3, 2, 4):
        x = torch.randn(size, 3, 8, 4)
        torch.testing.assert_close(compiled(x), plain(x))
        torch.testing.assert_close(cell.state, plain.state)
    torch.testing.assert_close(compiled.eval()(x), plain.eval()(x))


@pytest.mark.parametrize('kwargs', [dict(state_mode='row'), dict(on_smaller_batch='drop')])
def test_unknown_modes(kwargs):
    with pytest.raises(ValueError, match='must be one of'):
        BConvCell(3, 4, **kwargs)


def test_state_follows_the_module():
    cell = make_cell()
    cell(torch.randn(2, 3, 4, 4))
    state = cell.state.clone()
    assert 'state' not in cell.state_dict() and not list(cell.buffers())
    assert torch.equal(copy.deepcopy(cell).state, state)
    cell.to(memory_format=torch.channels_last)
    assert torch.equal(cell.state, state)
    cell.half()
    assert cell.gates.weight.dtype == torch.float16
    assert cell.state.dtype == torch.float32 and torch.equal(cell.state, state)
    assert cell.to('meta').state.device.type == 'meta'


class TwoCells(nn.Module):

    def __init__(self):
        super().__init__()
        self.first, self.second = BConvCell(3, 4), BConvCell(4, 2, stride=2)

    def forward(self, x):
        return self.second(self.first(x))


def test_latent_state_dict_round_trip():
    source, target = TwoCells(), TwoCells()
    assert latent_state_dict(source) == {}
    source(torch.randn(3, 3, 8, 8))
    states = latent_state_dict(source)
    assert sorted(states) == ['first', 'second']
    target.load_state_dict(source.state_dict())
    load_latent_state_dict(target, states)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(source(x), target(x))
    load_latent_state_dict(target, {'first': states['first']})
    assert target.second.state is None
    assert reset_latent_states(target) == 2 and latent_state_dict(target) == {}


def test_load_latent_state_dict_refuses_misfits():
    model = TwoCells()
    with pytest.raises(ValueError, match=r"unknown cells \['third'\].*first.*second"):
        load_latent_state_dict(model, {'third': torch.zeros(1, 4, 8, 8)})
    with pytest.raises(ValueError, match=r"'first' must have shape \(slots, 4, H, W\)"):
        load_latent_state_dict(model, {'first': torch.zeros(1, 5, 8, 8)})


def test_helpers_look_through_a_wrapper():
    model = TwoCells()
    model(torch.randn(3, 3, 8, 8))
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = model
    assert sorted(latent_state_dict(wrapper)) == ['first', 'second']
    assert reset_latent_states(wrapper) == 2


@pytest.mark.parametrize('update_buffers', [True, False])
def test_averaged_models_leave_the_state_alone(update_buffers):
    model = nn.Sequential(BConvCell(3, 4), nn.BatchNorm2d(4))
    ema = ExponentialMovingAverage(model, update_buffers=update_buffers)
    for size in (3, 2, 5):
        model(torch.randn(size, 3, 8, 8))
        ema.update_parameters(model)
    assert ema.module[0].state is None
