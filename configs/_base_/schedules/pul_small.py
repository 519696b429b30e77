"""Rounds of pseudo labels on a CPU: 6 of 6 epochs each, learning rate 0.005 without decay."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.005, momentum=0.9))
param_scheduler = dict(type='ConstantLR', factor=1.0)
train_cfg = dict(by_epoch=True, max_epochs=36, val_interval=6)
val_cfg = dict()
test_cfg = dict()
