"""DTL's adversarial comparison (gradient reversal), synthetic domain a to domain b without labels, ResNet-18."""

_base_ = [
    '../_base_/models/ide_resnet18_adversarial.py',
    '../_base_/datasets/synthetic_a2b_unlabelled.py',
    '../_base_/schedules/adversarial_small.py',
    '../_base_/dtl_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet18_synthetic/epoch_12.pth'
default_hooks = dict(checkpoint=dict(interval=336), initial_evaluation=dict(type='InitialEvaluationHook'))
