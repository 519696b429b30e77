import pytest
import torch

from mmreid.models.layers import PairwiseConsistentDropout
from mmreid.models.layers.pairwise_consistent_dropout import BLOCK_ROWS


def recovered(dropout, rows=1000, channels=64):
    """The masks that a pass used, found again from its outputs."""
    first, second = torch.rand(rows, channels) + 1, torch.rand(rows, channels) + 1
    out_first, out_second = dropout(first, second)
    return out_first / first, out_second / second


def test_both_members_share_a_mask_exactly():
    torch.manual_seed(0)
    dropout = PairwiseConsistentDropout(0.25)
    ones = torch.ones(1000, 64)
    first, second = dropout(ones, ones)
    assert torch.equal(first, second)
    assert first.unique().tolist() == pytest.approx([0, 4 / 3])
    first, second = recovered(dropout)
    assert torch.equal(first == 0, second == 0)


@pytest.mark.parametrize('p', [0.1, 0.5, 0.8])
@pytest.mark.parametrize('mode', ['consistent', 'random'])
def test_share_of_dropped_channels(p, mode):
    torch.manual_seed(1)
    masks = torch.stack(recovered(PairwiseConsistentDropout(p, mode), 2000, 100)).double()
    # 200,000 draws at least: five standard deviations of their share
    assert (masks == 0).double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / 200_000) ** .5)
    assert masks.mean().item() == pytest.approx(1, abs=5 * (p / (1 - p) / 200_000) ** .5)
    by_channel = (masks == 0).double().mean((0, 1))
    assert (by_channel - p).abs().max() < 6 * (p * (1 - p) / 2000) ** .5


def test_pairs_differ_from_each_other_and_members_where_independent():
    torch.manual_seed(2)
    kept = recovered(PairwiseConsistentDropout(0.5))[0] > 0
    assert len(kept.unique(dim=0)) == len(kept)
    # Also across the blocks in which masks are drawn, two rows agree in half of their channels.
    agreement = (kept[:-BLOCK_ROWS] == kept[BLOCK_ROWS:]).double().mean().item()
    assert agreement == pytest.approx(0.5, abs=0.02)
    assert (kept[:-1] == kept[1:]).double().mean().item() == pytest.approx(0.5, abs=0.02)
    first, second = recovered(PairwiseConsistentDropout(0.5, 'random'))
    assert ((first > 0) == (second > 0)).double().mean().item() == pytest.approx(0.5, abs=0.02)


def test_identical_features_have_no_difference_unless_masks_are_independent():
    torch.manual_seed(3)
    feats = torch.randn(50, 64)
    first, second = PairwiseConsistentDropout(0.5)(feats, feats.clone())
    assert (first - second).abs().max() == 0 and (first == 0).any()
    first, second = PairwiseConsistentDropout(0.5, 'random')(feats, feats.clone())
    assert ((first - second).abs().amax(1) > 0).all()


@pytest.mark.parametrize('mode', ['consistent', 'random'])
def test_evaluation_and_p_of_zero_change_nothing(mode):
    first, second = torch.randn(2, 30, 8)
    for dropout in (PairwiseConsistentDropout(0.5, mode).eval(), PairwiseConsistentDropout(0, mode)):
        state = torch.get_rng_state()
        outputs = dropout(first, second)
        assert torch.equal(outputs[0], first) and torch.equal(outputs[1], second)
        assert dropout.masks(30, first) is None
        if not dropout.training:
            assert torch.equal(torch.get_rng_state(), state)


def test_slices_of_masks_are_always_the_same():
    torch.manual_seed(4)
    masks = PairwiseConsistentDropout(0.5).masks(700, torch.empty(0, 16, dtype=torch.float64))
    whole = masks.rows(0, 700)
    assert whole.shape == (700, 16) and whole.dtype == torch.float64 and len(masks) == 700
    for start, stop in ((0, 1), (255, 257), (256, 512), (300, 700), (0, 0), (511, 512)):
        assert torch.equal(masks.rows(start, stop), whole[start:stop])
    torch.rand(10)  # whatever others draw in between
    assert torch.equal(masks.rows(0, 700), whole)


def test_a_seed_gives_the_same_masks_and_the_next_call_others():
    dropout, ones = PairwiseConsistentDropout(0.5), torch.ones(20, 32)
    torch.manual_seed(5)
    one, two = dropout(ones, ones)[0], dropout(ones, ones)[0]
    torch.manual_seed(5)
    again = dropout(ones, ones)[0]
    assert torch.equal(one, again) and not torch.equal(one, two)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_types_and_gradient(dtype):
    feats = torch.ones(10, 8, dtype=dtype, requires_grad=True)
    first, second = PairwiseConsistentDropout(0.5)(feats, feats)
    assert first.dtype == dtype
    (first + second).sum().backward()
    assert torch.equal(feats.grad, 2 * first.detach())


def test_bad_arguments():
    for p in (-0.1, 1.0):
        with pytest.raises(ValueError, match='at least 0 and below 1'):
            PairwiseConsistentDropout(p)
    with pytest.raises(ValueError, match="one of .'consistent', 'random'.*'shared'"):
        PairwiseConsistentDropout(mode='shared')
    with pytest.raises(ValueError, match=r'one shape .P, C., got .3, 4. and .2, 4.'):
        PairwiseConsistentDropout()(torch.ones(3, 4), torch.ones(2, 4))
    assert repr(PairwiseConsistentDropout(0.3)) == "PairwiseConsistentDropout(p=0.3, mode='consistent')"
