"""DTL to VIPeR, SID+TL with independent dropout in both stages (DTL, Table 5)."""

_base_ = './dtl_cuhk03market2viper_sid_tl.py'

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market_sid_tl_random.py'),
    viper=dict(config='../dtl/googlenet_viper_sid_tl_random.py'))
