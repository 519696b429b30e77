"""PTL, Table 6: DenseNet-161+PTL, Market to MSMT17, the teacher of the other rows."""

stages = dict(
    ptl_market=dict(config='../ptl/densenet161_market.py'),
    ptl_msmt17=dict(config='../ptl/densenet161_msmt17.py', init_from='ptl_market'))
