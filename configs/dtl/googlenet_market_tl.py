"""DTL with GoogLeNet on Market-1501, losses TL (DTL, Table 4): no classifier, so no first step."""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_market1501.py',
    '../_base_/schedules/dtl_one_step_150k.py',
    '../_base_/dtl_runtime.py',
]

model = dict(
    heads=dict(
        _delete_=True,
        tri={{_base_._triplet.tri}},
        tri_aux1={{_base_._triplet.tri_aux1}},
        tri_aux2={{_base_._triplet.tri_aux2}}))
