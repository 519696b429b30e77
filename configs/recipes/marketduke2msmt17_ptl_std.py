"""PTL, Table 5: DenseNet-161+PTL+STD, Market-Duke to MSMT17."""

_base_ = './marketduke2msmt17_ptl.py'

# The student is a plain network that went through the data before the last; the teacher is the chain of the base.
stages = dict(
    marketduke=dict(config='../baseline/densenet161_marketduke.py'),
    std_msmt17=dict(config='../std/densenet161_msmt17.py', init_from='marketduke', teacher_from='ptl_msmt17'))
