"""DTL with GoogLeNet on Market-1501 from scratch, SID (DTL, Table 8)."""

_base_ = './googlenet_market_scratch.py'

model = dict(
    heads=dict(
        _delete_=True,
        id={{_base_.model.heads.id}},
        id_aux1={{_base_.model.heads.id_aux1}},
        id_aux2={{_base_.model.heads.id_aux2}}))
