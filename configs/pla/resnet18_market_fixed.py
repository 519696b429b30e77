"""Generalised batch hard with k = p = 2 from beginning to end, with ResNet-18 on half of Market-1501 at 128x64."""

_base_ = './resnet18_market_composite.py'

model = dict(heads=dict(tri=dict(loss=dict(k=2, p=2))))
