"""DTL dictionary alone, ImageNet to CUHK03 and Market-1501 to PRID 2011 without labels."""

_base_ = '../_base_/dtl_carry.py'

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    prid=dict(config='../dtl/googlenet_cuhk03market2prid2011_subspace.py', init_from='large', carry={{_base_._carry}}))
