"""PTL, Table 6: DenseNet-161+PTL+STD, Market to MSMT17; std_msmt17.model.lambda_l1 is its lambda."""

_base_ = './market2msmt17_ptl.py'

# The student is a plain network that went through the data before the last; the teacher is the chain of the base.
stages = dict(
    market=dict(config='../baseline/densenet161_market.py'),
    std_msmt17=dict(config='../std/densenet161_msmt17.py', init_from='market', teacher_from='ptl_msmt17'))
