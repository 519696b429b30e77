"""DTL, the dictionary of features alone between two camera networks of Market-1501: nothing is trained."""

_base_ = './resnet18_cams123_2cams456_cotrain.py'

default_hooks = dict(pseudo_labels=dict(fit_only=True))
