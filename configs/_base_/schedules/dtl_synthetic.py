"""DTL from scratch on the synthetic data: 400 iterations, learning rate 0.05 after a warm-up, 0.005 after 300."""

_base_ = './dtl_scratch_3k.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='MultiStepLR', by_epoch=False, milestones=[300], gamma=0.1),
]
train_cfg = dict(max_iters=400, val_interval=200)
