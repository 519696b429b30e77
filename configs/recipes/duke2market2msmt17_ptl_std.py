"""PTL, Table 5: DenseNet-161+PTL+STD, Duke to Market to MSMT17."""

_base_ = './duke2market2msmt17_ptl.py'

# The student is a plain network that went through the data before the last; the teacher is the chain of the base.
stages = dict(
    duke=dict(config='../baseline/densenet161_duke.py'),
    market=dict(config='../baseline/densenet161_market.py', init_from='duke'),
    std_msmt17=dict(config='../std/densenet161_msmt17.py', init_from='market', teacher_from='ptl_msmt17'))
