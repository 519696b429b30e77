"""DTL's losses SID+TL with ResNet-18 on half of Market-1501 at 128x64 (the shape of Table 4)."""

_base_ = './resnet18_market.py'

model = dict(
    heads=dict(
        _delete_=True,
        id={{_base_.model.heads.id}},
        id_aux1={{_base_.model.heads.id_aux1}},
        id_aux2={{_base_.model.heads.id_aux2}},
        tri={{_base_._triplet.tri}},
        tri_aux1={{_base_._triplet.tri_aux1}},
        tri_aux2={{_base_._triplet.tri_aux2}}))
