"""PTL, section 5.2: SGD with momentum, learning rate 0.01 divided by ten every ten of 50 epochs.

Momentum and weight decay are not in the paper; 0.9 and 5e-4 are the field's usual values.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='StepLR', by_epoch=True, step_size=10, gamma=0.1)
train_cfg = dict(by_epoch=True, max_epochs=50, val_interval=10)
val_cfg = dict()
test_cfg = dict()
