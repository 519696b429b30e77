"""Gradient reversal on a CPU: learning rate 0.005 as in pul_small.py, 1,008 iterations.

With 32 images of the target in a batch, these are 18 epochs over 1,800 images, as many as the rounds of
pul_small_two_step.py.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.005, momentum=0.9))
param_scheduler = dict(type='ConstantLR', factor=1.0, by_epoch=False)
train_cfg = dict(by_epoch=False, max_iters=1008, val_interval=336)
val_cfg = dict()
test_cfg = dict()

# The paper: "a certain negative constant"; which one, and from when on, it does not say.
custom_hooks = [dict(type='GradientReversalHook', schedule='sigmoid', coefficient=1.0)]
