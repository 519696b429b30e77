import pytest
import torch

from mmreid.models.heads import AutoencoderHead
from mmreid.structures import ReIDDataSample


def head(**options):
    torch.manual_seed(0)
    return AutoencoderHead(6, 4, **options)


def test_loss_is_equation_4_by_hand():
    """Half the squared distance, summed over channels, averaged over images."""
    module, code, base = head(), torch.randn(3, 4), torch.randn(3, 6)
    weight, bias = module.decoder.weight, module.decoder.bias
    total = 0.
    for i in range(3):
        for c in range(6):
            decoded = sum(float(weight[c, k]) * float(code[i, k]) for k in range(4)) + float(bias[c])
            total += 0.5 * (float(base[i, c]) - decoded)**2
    losses = module.loss(dict(feat=code, base=base))
    assert losses['loss_ae'].item() == pytest.approx(total / 3, rel=1e-5)
    assert losses['residual'].item() == pytest.approx(100 * 2 * total / float(base.square().sum()), rel=1e-5)
    assert head(loss_weight=3.).loss(dict(feat=code, base=base))['loss_ae'].item() == pytest.approx(total, rel=1e-5)
    assert [key for key in losses if 'loss' in key] == ['loss_ae']


def test_a_perfect_code_leaves_nothing():
    module = AutoencoderHead(4, 4)
    torch.nn.init.eye_(module.decoder.weight)
    x = torch.randn(5, 4)
    losses = module.loss(dict(feat=x, base=x))
    assert losses['loss_ae'].item() == losses['residual'].item() == 0


def test_the_target_is_a_constant():
    module, code = head(), torch.randn(3, 4, requires_grad=True)
    base = torch.randn(3, 6, requires_grad=True)
    module.loss(dict(feat=code, base=base))['loss_ae'].backward()
    assert base.grad is None and code.grad.abs().max() > 0
    assert all(p.grad.abs().max() > 0 for p in module.parameters())


def test_nothing_of_the_samples_is_read():
    feats = dict(feat=torch.randn(2, 4), base=torch.randn(2, 6))
    labelled = [ReIDDataSample().set_gt_label(label) for label in (5, -1)]
    values = {head().loss(feats, given)['loss_ae'].item() for given in (None, labelled, [ReIDDataSample()] * 2)}
    assert len(values) == 1


def test_features_of_zero_and_half_precision():
    zero = head().loss(dict(feat=torch.zeros(2, 4), base=torch.zeros(2, 6)))
    assert zero['loss_ae'].item() == 0 and zero['residual'].item() == 0
    base = torch.full((1, 6), 300., dtype=torch.float16)  # its square is beyond float16
    losses = head().half().loss(dict(feat=torch.zeros(1, 4, dtype=torch.float16), base=base))
    assert losses['loss_ae'].item() == pytest.approx(0.5 * 6 * 300**2)


def test_bad_input():
    with pytest.raises(KeyError, match="target_key='base'.*AutoencoderNeck"):
        head().loss(dict(feat=torch.randn(2, 4)))
    with pytest.raises(ValueError, match='codes of 4 into features of 6 numbers, .*codes of 4 and features of 7'):
        head().loss(dict(feat=torch.randn(2, 4), base=torch.randn(2, 7)))
    with pytest.raises(ValueError, match='code_channels.*positive'):
        AutoencoderHead(6, 0)
