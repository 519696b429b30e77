# DTL with its six losses on pseudo labels: where no class of a batch has two images, there is no verification loss.
_base_ = './dtl_googlenet.py'

model = dict(heads=dict(
    ver=dict(require_pairs=False),
    ver_aux1=dict(require_pairs=False),
    ver_aux2=dict(require_pairs=False)))
