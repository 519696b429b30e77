"""DTL co-training with GoogLeNet on VIPeR without labels (DTL, Tables 7 and 9); one of ten splits.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = './googlenet_cuhk03market2viper_selftrain.py'

default_hooks = dict(
    pseudo_labels=dict(type='CoTrainingHook', labeller=dict(_delete_=True, type='GraphDictionary', num_atoms=256)))
