"""DTL to VIPeR, SID+PV with independent dropout in both stages (DTL, Table 5)."""

_base_ = './dtl_cuhk03market2viper.py'

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market_random.py'),
    viper=dict(config='../dtl/googlenet_viper_random.py'))
