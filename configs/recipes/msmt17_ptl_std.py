"""PTL, Table 1: DenseNet-161+PTL+STD on MSMT17; teacher and student start from ImageNet."""

stages = dict(
    ptl_msmt17=dict(config='../ptl/densenet161_msmt17.py'),
    std_msmt17=dict(config='../std/densenet161_msmt17.py', teacher_from='ptl_msmt17'))
