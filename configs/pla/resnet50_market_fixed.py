"""Generalised batch hard with k = p = 4 from beginning to end, with ResNet-50 on Market-1501."""

_base_ = './resnet50_market_composite.py'

model = dict(heads=dict(tri=dict(loss=dict(k=4, p=4))))
