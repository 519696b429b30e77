"""Necks that torch.export can trace: what it understands of Python differs between versions of torch."""

import pytest
import torch

from mmreid.models.necks import DTLNeck, MGNPTLNeck, PartPoolingNeck, PTLNeck

TWO_BRANCHES = dict(feat_channels=3, branches=(dict(stripes=1), dict(stripes=2)))


def maps(*channels):
    """An image of 32x16 and maps of the strides 4, 8, ... or, for branches, all of stride 8."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(32 >> shift, 16 >> shift) for shift in (0, 2, 3, 4, 4)]
    return tuple(torch.randn(2, width, *size, generator=generator)
                 for width, size in zip(channels, sizes, strict=False))


@pytest.mark.parametrize('neck, given', [
    (lambda: PTLNeck(in_channels=(3, 8, 8), cell_channels=(4, 4), fusion_channels=(8, ), feat_channels=16,
                     strides=(4, 2)), maps(3, 8, 8)),
    (lambda: PartPoolingNeck(8, **TWO_BRANCHES), (*maps(3), *(torch.randn(2, 8, 4, 2) for _ in range(2)))),
    (lambda: MGNPTLNeck(
        in_channels=(3, 4, 5), cell_channels=((2, 3), 4), fusion_channels=(6, 7), strides=((2, 2), 2),
        branch_channels=8, branch_cells=[dict(channels=2, stride=1), dict(channels=2, stride=1)], parts=TWO_BRANCHES),
     (*maps(3, 4, 5), *(torch.randn(2, 8, 4, 2) for _ in range(2)))),
    (lambda: DTLNeck((6, ), aux=False, feat_channels=5), maps(3, 6)[1:]),
    (lambda: DTLNeck((6, 7, 8), aux=True, aux_cfg=dict(feat_channels=7, mid_channels=5)),
     tuple(torch.randn(2, width, 14, 14) for width in (6, 7, 8))),
], ids=['PTL', 'parts', 'MGN+PTL', 'DTL', 'DTL with branches'])
def test_the_graph_gives_the_same_features(neck, given):
    neck = neck().eval()
    with torch.no_grad():
        expected = neck(given)
        found = torch.export.export(neck, (given, ), strict=True).module()(given)
    assert set(found) == set(expected)
    for name, feats in expected.items():
        assert torch.allclose(found[name], feats, atol=1e-6), name
