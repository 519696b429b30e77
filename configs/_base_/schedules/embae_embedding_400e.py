"""EmbAE, step 1: Adam 1e-4 for 100 epochs, then exponential decay to 1e-7 over 300 (section 3.3).

The learning rate falls once an epoch. After the last one it would be 1e-7.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
param_scheduler = dict(type='ExponentialLR', gamma=1e-3**(1 / 300), by_epoch=True, begin=100)
train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=50)
val_cfg = dict()
test_cfg = dict()

custom_hooks = [dict(type='TrainingStepHook', method='EmbAE', step='embedding')]
