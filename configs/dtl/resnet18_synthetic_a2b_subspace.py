"""DTL, the dictionary of features alone from synthetic domain a to b: nothing is trained."""

_base_ = './resnet18_synthetic_a2b_cotrain.py'

default_hooks = dict(pseudo_labels=dict(fit_only=True))
