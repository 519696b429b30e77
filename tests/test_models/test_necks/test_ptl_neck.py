import pytest
import torch
import torch.nn.functional as F

from mmreid.models.layers import reset_latent_states
from mmreid.models.necks import PTLNeck

SIZES = ((32, 16), (8, 4), (8, 4), (4, 2))
CFG = dict(
    in_channels=(3, 4, 5, 6), cell_channels=(2, 3, 4), fusion_channels=(3, 4), strides=(4, 1, 2), feat_channels=7)


def maps(batch=3, sizes=SIZES):
    return tuple(torch.randn(batch, c, *size) for c, size in zip(CFG['in_channels'], sizes, strict=True))


def naive_cell(cell, x, stride, state):
    """Eq. (1) on a batch."""
    kernel = 7 if stride == 4 else 3
    gates = F.conv2d(x, cell.gates.weight, cell.gates.bias, stride=stride, padding=kernel // 2)
    i, f, o, c = gates.chunk(4, dim=1)
    state = torch.sigmoid(f) * state + torch.sigmoid(i) * torch.tanh(c)
    return torch.sigmoid(o) * torch.tanh(state), state


def naive_fusion(fusion, x, y):
    conv, norm, _ = fusion
    z = torch.einsum('oc,nchw->nohw', conv.weight[:, :, 0, 0], torch.cat([x, y], 1))
    mean, var = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), unbiased=False, keepdim=True)
    z = (z - mean) / (var + norm.eps).sqrt() * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    return z.clamp(min=0)


def test_equals_figure_one_written_out():
    """Eq. (3) and Figure 1 literally, with the final 1x1 convolution before the pooling, over three batches."""
    torch.manual_seed(0)
    neck, states = PTLNeck(**CFG), [0.0, 0.0, 0.0]
    for _ in range(3):
        x0, x1, x2, x3 = maps()
        y0, states[0] = naive_cell(neck.cells[0], x0, 4, states[0])
        y1, states[1] = naive_cell(neck.cells[1], naive_fusion(neck.fusions[0], x1, y0), 1, states[1])
        y2, states[2] = naive_cell(neck.cells[2], naive_fusion(neck.fusions[1], x2, y1), 2, states[2])
        linear = neck.reduction[0]
        reduced = F.conv2d(torch.cat([x3, y2], 1), linear.weight[:, :, None, None], linear.bias)
        feat = neck((x0, x1, x2, x3))['feat']
        torch.testing.assert_close(feat, reduced.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_evaluation_depends_on_the_image_alone():
    torch.manual_seed(0)
    neck, x = PTLNeck(**CFG), maps(5)
    neck(maps(4))  # norms have seen something
    fresh = neck.eval()(x)['feat']
    state = neck.cells[1].state
    reset_latent_states(neck)
    assert torch.equal(neck(x)['feat'], fresh) and state is not None
    one_by_one = torch.cat([neck(tuple(m[n:n + 1] for m in x))['feat'] for n in range(5)])
    torch.testing.assert_close(one_by_one, fresh, rtol=0, atol=1e-6)


def test_every_parameter_learns_and_nothing_reaches_back():
    neck = PTLNeck(**CFG, pool='gem')
    neck(maps())
    x = tuple(m.requires_grad_() for m in maps())
    neck(x)['feat'].square().sum().backward()
    assert all(p.grad.abs().max() > 1e-8 for p in neck.parameters())
    assert all(m.grad.abs().max() > 0 for m in x)  # the taps feed the cells


def test_options():
    neck = PTLNeck(
        **CFG,
        state_mode='batch',
        cell_cfg=dict(bias=False, on_smaller_batch='truncate'),
        reduction_cfg=dict(norm_cfg=dict(type='BN1d')))
    assert {(c.state_mode, c.on_smaller_batch, c.gates.bias) for c in neck.cells} == {('batch', 'truncate', None)}
    assert [c.gates.kernel_size for c in neck.cells] == [(7, 7), (3, 3), (3, 3)]
    neck(maps())
    assert [len(c.state) for c in neck.cells] == [1, 1, 1]
    with pytest.raises(ValueError, match='drop_last'):
        neck(maps(1))


def test_wrong_strides():
    neck = PTLNeck(**{**CFG, 'strides': (4, 2, 2)})
    with pytest.raises(ValueError, match=r'cell 1 .*\(4, 2\).*tap 2 of \(8, 4\).*strides=\(4, 1, 2\) fit'):
        neck(maps())


def test_size_that_does_not_divide():
    neck = PTLNeck(**CFG)
    with pytest.raises(ValueError, match='divisible by 32'):
        neck(maps(sizes=((31, 16), (7, 4), (7, 4), (4, 2))))


def test_wrong_taps_and_widths():
    with pytest.raises(ValueError, match=r'out_indices.*all taps'):
        PTLNeck(**CFG)(maps()[1:])
    with pytest.raises(ValueError, match='4 taps need 3 cell_channels, 2 fusion_channels and 3 strides'):
        PTLNeck(**{**CFG, 'fusion_channels': (3, )})
