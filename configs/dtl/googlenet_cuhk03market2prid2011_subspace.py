"""DTL, the dictionary of GoogLeNet's features alone on PRID 2011 without labels; one of ten splits.

A stage of a recipe; run by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = './googlenet_cuhk03market2prid2011_cotrain.py'

default_hooks = dict(pseudo_labels=dict(fit_only=True))
