"""DTL co-training from synthetic domain a to domain b without labels, ResNet-18: minutes on a CPU."""

_base_ = './resnet18_synthetic_a2b_selftrain.py'

default_hooks = dict(
    pseudo_labels=dict(type='CoTrainingHook', labeller=dict(_delete_=True, type='GraphDictionary', num_atoms=128)))
