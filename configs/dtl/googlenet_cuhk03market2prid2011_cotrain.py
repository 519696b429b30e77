"""DTL co-training with GoogLeNet on PRID 2011 without labels (DTL, Table 7); one of ten splits.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = './googlenet_cuhk03market2prid2011_selftrain.py'

# A dictionary has at most as many atoms as images, and here there are 200.
default_hooks = dict(
    pseudo_labels=dict(type='CoTrainingHook', labeller=dict(_delete_=True, type='GraphDictionary', num_atoms=64)))
