"""PUL, section IV: SGD with momentum 0.9, learning rate 0.001 without decay, at most 25 rounds of 20 epochs."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.001, momentum=0.9))
param_scheduler = dict(type='ConstantLR', factor=1.0)
train_cfg = dict(by_epoch=True, max_epochs=500, val_interval=20)
val_cfg = dict()
test_cfg = dict()
