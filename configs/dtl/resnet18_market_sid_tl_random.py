"""SID+TL with ResNet-18 on half of Market-1501 at 128x64, independent dropout (the shape of Table 5)."""

_base_ = './resnet18_market_sid_tl.py'

model = dict(
    heads=dict(
        tri=dict(dropout_mode='random'),
        tri_aux1=dict(dropout_mode='random'),
        tri_aux2=dict(dropout_mode='random')))
