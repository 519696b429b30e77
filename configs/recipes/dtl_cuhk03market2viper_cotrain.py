"""DTL co-training, ImageNet to CUHK03 and Market-1501 to VIPeR without labels (DTL, Tables 7 and 9)."""

_base_ = '../_base_/dtl_carry.py'

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market.py'),
    viper=dict(config='../dtl/googlenet_cuhk03market2viper_cotrain.py', init_from='large', carry={{_base_._carry}}))
