"""PTL, Table 5: DenseNet-161, Market-Duke to MSMT17."""

stages = dict(
    marketduke=dict(config='../baseline/densenet161_marketduke.py'),
    msmt17=dict(config='../baseline/densenet161_msmt17.py', init_from='marketduke'))
