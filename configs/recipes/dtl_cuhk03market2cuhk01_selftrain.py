"""DTL self-training, ImageNet to CUHK03 and Market-1501 to CUHK01 without labels."""

_base_ = '../_base_/dtl_carry.py'

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    cuhk01=dict(config='../dtl/googlenet_cuhk03market2cuhk01_selftrain.py', init_from='large', carry={{_base_._carry}}))
