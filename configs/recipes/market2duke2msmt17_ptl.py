"""DenseNet-161+PTL, Market to Duke to MSMT17: the teacher of a row of PTL, Table 5."""

stages = dict(
    ptl_market=dict(config='../ptl/densenet161_market.py'),
    ptl_duke=dict(config='../ptl/densenet161_duke.py', init_from='ptl_market'),
    ptl_msmt17=dict(config='../ptl/densenet161_msmt17.py', init_from='ptl_duke'))
