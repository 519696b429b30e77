"""Rounds of pseudo labels on the synthetic data: 8 of 3 epochs each, learning rate 0.01 without decay."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
param_scheduler = dict(type='ConstantLR', factor=1.0)
train_cfg = dict(by_epoch=True, max_epochs=24, val_interval=3)
val_cfg = dict()
test_cfg = dict()
