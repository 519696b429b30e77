"""DTL with GoogLeNet on Market-1501, losses SID+PV+TL (DTL, Table 4)."""

_base_ = './googlenet_market.py'

model = dict(heads={{_base_._triplet}})
