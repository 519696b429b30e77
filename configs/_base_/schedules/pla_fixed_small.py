"""PLA's optimizer with fixed hyper-parameters on a CPU: Adam 1e-3, three times over 4 epochs.

In each of the three, after 2 epochs the learning rate falls towards a thousandth (Eq. 10) and beta1 is 0.5.
"""

_base_ = './pla_fixed_3000e.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='HoldThenDecayLR', hold=2, decay_end=4, factor=0.001, period=4),
    dict(type='HoldThenSwitchMomentum', hold=2, value=0.5, period=4),
]
train_cfg = dict(max_epochs=12, val_interval=12)
