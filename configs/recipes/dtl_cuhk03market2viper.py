"""DTL, ImageNet to CUHK03 and Market-1501 to VIPeR, every stage in two steps (DTL, Tables 3, 5, 6 and 8)."""

_base_ = '../_base_/dtl_carry.py'

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    viper=dict(config='../dtl/googlenet_viper.py', init_from='large', carry={{_base_._carry}}))
