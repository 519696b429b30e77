"""PTL, Table 2: DenseNet-161+PTL+STD on Market-1501; teacher and student start from ImageNet."""

stages = dict(
    ptl_market=dict(config='../ptl/densenet161_market.py'),
    std_market=dict(config='../std/densenet161_market.py', teacher_from='ptl_market'))
