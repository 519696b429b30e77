# As dtl_googlenet.py with the losses SID + TL.
_base_ = './dtl_googlenet.py'

model = dict(
    heads=dict(
        _delete_=True,
        id={{_base_.model.heads.id}},
        id_aux1={{_base_.model.heads.id_aux1}},
        id_aux2={{_base_.model.heads.id_aux2}},
        tri={{_base_._triplet.tri}},
        tri_aux1={{_base_._triplet.tri_aux1}},
        tri_aux2={{_base_._triplet.tri_aux2}}))
