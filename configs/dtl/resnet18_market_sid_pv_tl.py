"""DTL's losses SID+PV+TL with ResNet-18 on half of Market-1501 at 128x64 (the shape of Table 4)."""

_base_ = './resnet18_market.py'

model = dict(heads={{_base_._triplet}})
