"""PTL, Table 5: DenseNet-161+PTL+STD, Duke to MSMT17 to Market."""

_base_ = './duke2msmt17_2market_ptl.py'

# The student is a plain network that went through the data before the last; the teacher is the chain of the base.
stages = dict(
    duke=dict(config='../baseline/densenet161_duke.py'),
    msmt17=dict(config='../baseline/densenet161_msmt17.py', init_from='duke'),
    std_market=dict(config='../std/densenet161_market.py', init_from='msmt17', teacher_from='ptl_market'))
