"""DTL co-training between two networks of cameras of Market-1501 without labels, ResNet-18: minutes on a CPU."""

_base_ = './resnet18_cams123_2cams456_selftrain.py'

default_hooks = dict(
    pseudo_labels=dict(type='CoTrainingHook', labeller=dict(_delete_=True, type='GraphDictionary', num_atoms=128)))
