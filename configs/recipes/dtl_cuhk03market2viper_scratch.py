"""DTL to VIPeR without ImageNet: CUHK03 and Market-1501 from scratch (DTL, Table 8)."""

_base_ = './dtl_cuhk03market2viper.py'

stages = dict(large=dict(config='../dtl/googlenet_cuhk03market_scratch.py'))
