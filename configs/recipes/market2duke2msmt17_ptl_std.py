"""PTL, Table 5: DenseNet-161+PTL+STD, Market to Duke to MSMT17."""

_base_ = './market2duke2msmt17_ptl.py'

# The student is a plain network that went through the data before the last; the teacher is the chain of the base.
stages = dict(
    market=dict(config='../baseline/densenet161_market.py'),
    duke=dict(config='../baseline/densenet161_duke.py', init_from='market'),
    std_msmt17=dict(config='../std/densenet161_msmt17.py', init_from='duke', teacher_from='ptl_msmt17'))
