"""DenseNet-161+PTL, Duke to Market to MSMT17: the teacher of the best row of PTL, Table 5."""

stages = dict(
    ptl_duke=dict(config='../ptl/densenet161_duke.py'),
    ptl_market=dict(config='../ptl/densenet161_market.py', init_from='ptl_duke'),
    ptl_msmt17=dict(config='../ptl/densenet161_msmt17.py', init_from='ptl_market'))
