"""DenseNet-161, Market to MSMT17: PTL, Table 6, lambda 0."""

stages = dict(
    market=dict(config='../baseline/densenet161_market.py'),
    msmt17=dict(config='../baseline/densenet161_msmt17.py', init_from='market'))
