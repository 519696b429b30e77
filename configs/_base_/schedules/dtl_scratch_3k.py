"""DTL from scratch on a CPU: 3,200 iterations of everything, about 16 passes over Market-1501, learning rate 0.05 after
a warm-up, divided by ten after 2,000 and 2,800."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=200),
    dict(type='MultiStepLR', by_epoch=False, milestones=[2000, 2800], gamma=0.1),
]
train_cfg = dict(by_epoch=False, max_iters=3200, val_interval=3200)
val_cfg = dict()
test_cfg = dict()
