"""DTL on a CPU: 800 iterations of everything, learning rate 0.02 after a warm-up, divided by ten after 600."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='MultiStepLR', by_epoch=False, milestones=[600], gamma=0.1),
]
train_cfg = dict(by_epoch=False, max_iters=800, val_interval=800)
val_cfg = dict()
test_cfg = dict()
