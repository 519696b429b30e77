"""DTL with GoogLeNet on Market-1501, losses PV (DTL, Table 4): no classifier, so no first step."""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_market1501.py',
    '../_base_/schedules/dtl_one_step_150k.py',
    '../_base_/dtl_runtime.py',
]

model = dict(
    heads=dict(
        _delete_=True,
        ver={{_base_.model.heads.ver}},
        ver_aux1={{_base_.model.heads.ver_aux1}},
        ver_aux2={{_base_.model.heads.ver_aux2}}))
