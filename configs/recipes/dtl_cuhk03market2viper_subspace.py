"""DTL dictionary alone, ImageNet to CUHK03 and Market-1501 to VIPeR without labels (DTL, Table 9)."""

_base_ = '../_base_/dtl_carry.py'

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    viper=dict(config='../dtl/googlenet_cuhk03market2viper_subspace.py', init_from='large', carry={{_base_._carry}}))
