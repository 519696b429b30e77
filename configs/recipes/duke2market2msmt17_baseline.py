"""PTL, Table 5: DenseNet-161, Duke to Market to MSMT17."""

stages = dict(
    duke=dict(config='../baseline/densenet161_duke.py'),
    market=dict(config='../baseline/densenet161_market.py', init_from='duke'),
    msmt17=dict(config='../baseline/densenet161_msmt17.py', init_from='market'))
