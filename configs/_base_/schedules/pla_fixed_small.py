"""PLA's optimizer with fixed hyper-parameters on a CPU: Adam 3e-4, three times over 6 epochs.

In each of the three, after 4 epochs the learning rate falls towards a thousandth (Eq. 10) and beta1 is 0.5.
"""

_base_ = './pla_fixed_3000e.py'

param_scheduler = [
    dict(type='HoldThenDecayLR', hold=4, decay_end=6, factor=0.001, period=6),
    dict(type='HoldThenSwitchMomentum', hold=4, value=0.5, period=6),
]
train_cfg = dict(max_epochs=18, val_interval=18)
