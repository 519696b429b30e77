"""DenseNet-161+PTL, Market-Duke to MSMT17: the teacher of a row of PTL, Table 5."""

stages = dict(
    ptl_marketduke=dict(config='../ptl/densenet161_marketduke.py'),
    ptl_msmt17=dict(config='../ptl/densenet161_msmt17.py', init_from='ptl_marketduke'))
