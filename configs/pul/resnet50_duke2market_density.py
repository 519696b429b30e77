"""DukeMTMC-reID to Market-1501 with clusters by density in place of k-means: nobody has to say how many there are."""

_base_ = './resnet50_duke2market.py'

default_hooks = dict(pseudo_labels=dict(labeller=dict(_delete_=True, type='DensityClusters', eps=0.6, min_samples=4)))
