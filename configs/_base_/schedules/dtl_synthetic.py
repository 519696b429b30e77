"""DTL from scratch on the synthetic data: 400 iterations, learning rate 0.02 after a warm-up, 0.002 after 300."""

_base_ = './dtl_small.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='MultiStepLR', by_epoch=False, milestones=[300], gamma=0.1),
]
train_cfg = dict(max_iters=400, val_interval=200)
