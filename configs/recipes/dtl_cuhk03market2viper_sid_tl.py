"""DTL to VIPeR, SID+TL in both stages (DTL, Table 5)."""

stages = dict(
    large=dict(config='../dtl/googlenet_cuhk03market_sid_tl.py'),
    viper=dict(config='../dtl/googlenet_viper_sid_tl.py', init_from='large'))
