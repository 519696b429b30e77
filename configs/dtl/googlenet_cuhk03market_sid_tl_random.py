"""DTL on CUHK03 and Market-1501 merged, SID+TL, independent dropout (for Table 5)."""

_base_ = './googlenet_cuhk03market_sid_tl.py'

model = dict(
    heads=dict(
        tri=dict(dropout_mode='random'),
        tri_aux1=dict(dropout_mode='random'),
        tri_aux2=dict(dropout_mode='random')))
