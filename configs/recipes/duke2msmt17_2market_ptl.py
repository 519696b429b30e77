"""PTL, Table 5: DenseNet-161+PTL, Duke to MSMT17 to Market."""

stages = dict(
    ptl_duke=dict(config='../ptl/densenet161_duke.py'),
    ptl_msmt17=dict(config='../ptl/densenet161_msmt17.py', init_from='ptl_duke'),
    ptl_market=dict(config='../ptl/densenet161_market.py', init_from='ptl_msmt17'))
