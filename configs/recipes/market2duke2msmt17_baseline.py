"""PTL, Table 5: DenseNet-161, Market to Duke to MSMT17."""

stages = dict(
    market=dict(config='../baseline/densenet161_market.py'),
    duke=dict(config='../baseline/densenet161_duke.py', init_from='market'),
    msmt17=dict(config='../baseline/densenet161_msmt17.py', init_from='duke'))
