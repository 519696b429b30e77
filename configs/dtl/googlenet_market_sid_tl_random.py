"""DTL with GoogLeNet on Market-1501, SID+TL, independent dropout of all images (DTL, Table 5)."""

_base_ = './googlenet_market_sid_tl.py'

model = dict(
    heads=dict(
        tri=dict(dropout_mode='random'),
        tri_aux1=dict(dropout_mode='random'),
        tri_aux2=dict(dropout_mode='random')))
