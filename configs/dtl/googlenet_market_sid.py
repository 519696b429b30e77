"""DTL with GoogLeNet on Market-1501, losses SID (DTL, Table 4)."""

_base_ = './googlenet_market.py'

model = dict(
    heads=dict(
        _delete_=True,
        id={{_base_.model.heads.id}},
        id_aux1={{_base_.model.heads.id_aux1}},
        id_aux2={{_base_.model.heads.id_aux2}}))
