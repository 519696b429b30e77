"""Synthetic domain a to b with ResNet-18 on a CPU: a plain student of domain a learns b from a PTL teacher."""

_to_domain_b = {f'{split}_dataloader.dataset.domain': 'b' for split in ('train', 'val', 'test')}

stages = dict(
    ptl_a=dict(config='../ptl/resnet18_synthetic.py'),
    ptl_b=dict(config='../ptl/resnet18_synthetic.py', init_from='ptl_a', overrides=_to_domain_b),
    plain_a=dict(config='../baseline/resnet18_synthetic.py'),
    std_b=dict(
        config='../std/resnet18_synthetic.py', init_from='plain_a', teacher_from='ptl_b', overrides=_to_domain_b))
