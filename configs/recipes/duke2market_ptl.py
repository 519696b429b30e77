"""PTL, Table 5: DenseNet-161+PTL, Duke to Market."""

stages = dict(
    ptl_duke=dict(config='../ptl/densenet161_duke.py'),
    ptl_market=dict(config='../ptl/densenet161_market.py', init_from='ptl_duke'))
