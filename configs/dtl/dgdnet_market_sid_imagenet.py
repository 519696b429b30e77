"""DTL with DGDNet on Market-1501 from ImageNet in two steps, SID (DTL, Table 8)."""

_base_ = './dgdnet_market_imagenet.py'

model = dict(heads=dict(_delete_=True, id={{_base_.model.heads.id}}))
