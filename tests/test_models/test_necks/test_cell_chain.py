import pytest
import torch
import torch.nn.functional as F

from mmreid.models.layers import latent_state_dict
from mmreid.models.necks import CellChain, PTLNeck

CFG = dict(in_channels=(3, 4, 5), cell_channels=((2, 3), 4), fusion_channels=(6, 7), strides=((2, 2), 2))


def maps(batch=3):
    return torch.randn(batch, 3, 16, 8), torch.randn(batch, 4, 4, 2), torch.randn(batch, 5, 2, 1)


def naive_cell(cell, x, stride, state):
    i, f, o, c = F.conv2d(x, cell.gates.weight, cell.gates.bias, stride=stride, padding=1).chunk(4, dim=1)
    state = torch.sigmoid(f) * state + torch.sigmoid(i) * torch.tanh(c)
    return torch.sigmoid(o) * torch.tanh(state), state


def naive_fusion(fusion, x, y):
    z = F.conv2d(torch.cat([x, y], 1), fusion[0].weight, fusion[0].bias)
    z = (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    return z.clamp(min=0)


def test_cells_in_series_over_three_batches():
    torch.manual_seed(0)
    chain, states = CellChain(**CFG), [0.0, 0.0, 0.0]
    for _ in range(3):
        x0, x1, x2 = maps()
        y, states[0] = naive_cell(chain.cells[0][0], x0, 2, states[0])
        y, states[1] = naive_cell(chain.cells[0][1], y, 2, states[1])
        y, states[2] = naive_cell(chain.cells[1], naive_fusion(chain.fusions[0], x1, y), 2, states[2])
        expected = naive_fusion(chain.fusions[1], x2, y)
        torch.testing.assert_close(chain.run_chain((x0, x1, x2)), expected, rtol=1e-4, atol=1e-5)
    assert sorted(latent_state_dict(chain)) == ['cells.0.0', 'cells.0.1', 'cells.1']


def test_parameter_names_of_a_plain_chain():
    neck = PTLNeck((3, 4, 5), (2, 3), (4, ), (4, 2), feat_channels=7)
    assert [name for name, _ in neck.named_parameters()] == [
        'fusions.0.0.weight', 'fusions.0.1.weight', 'fusions.0.1.bias', 'cells.0.gates.weight', 'cells.0.gates.bias',
        'cells.1.gates.weight', 'cells.1.gates.bias', 'reduction.0.weight', 'reduction.0.bias']


def test_ptl_with_cells_in_series():
    neck = PTLNeck((3, 4, 5), ((2, 3), 4), (6, ), ((2, 2), 2), feat_channels=7)
    assert neck(maps())['feat'].shape == (3, 7)
    assert [cell.gates.kernel_size for cell in neck.cells[0]] == [(3, 3), (3, 3)]


def test_bias_of_the_fusions():
    assert all(fusion[0].bias is None for fusion in CellChain(**CFG).fusions)
    chain = CellChain(**CFG, fusion_cfg=dict(bias=True))
    assert [fusion[0].bias.tolist() for fusion in chain.fusions] == [[0.0] * 6, [0.0] * 7]


def test_without_a_fusion_the_image_comes_out():
    x = maps()
    assert PTLNeck((3, 4), (2, ), (), (4, ), feat_channels=7).run_chain(x) is x[0]


@pytest.mark.parametrize('kwargs', [dict(strides=(4, 2)), dict(strides=((2, 2, 1), 2)), dict(cell_channels=(3, 4)),
                                    dict(cell_channels=((), 4), strides=((), 2))])
def test_cells_in_series_need_a_stride_each(kwargs):
    with pytest.raises(ValueError, match='cells in series need one stride each'):
        CellChain(**{**CFG, **kwargs})


def test_wrong_strides_in_series():
    chain = CellChain(**{**CFG, 'strides': ((2, 1), 2)})
    with pytest.raises(ValueError, match=r'cell 0 of CellChain .*\(8, 4\).*tap 1 of \(4, 2\).*strides=\(4, 2\) fit'):
        chain.run_chain(maps())


