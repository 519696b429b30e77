"""An autoencoder on a CPU: 18 epochs of Adam at 0.001; the base network and its statistics stay as they are.

As many epochs as the rounds of pul_small_two_step.py. The paper says nothing about the training but Eq. 4.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.001))
param_scheduler = dict(type='ConstantLR', factor=1.0)
train_cfg = dict(by_epoch=True, max_epochs=18, val_interval=6)
val_cfg = dict()
test_cfg = dict()

custom_hooks = [dict(type='PhaseHook', phases=[dict(name='autoencoder', trainable=('neck.encoder', 'heads.ae'))])]
find_unused_parameters = True  # what is frozen has no gradient that processes could wait for
