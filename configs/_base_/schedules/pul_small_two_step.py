"""Rounds of pseudo labels on a CPU as in pul_small.py, three (the paper of DTL: 2 to 3) of 6 epochs, each in two steps:
classifiers, then everything."""

_base_ = './pul_small.py'

train_cfg = dict(max_epochs=18)
custom_hooks = [
    dict(type='PhaseHook', cycle=6, phases=[
        dict(name='classifiers', trainable=('heads.id*', ), heads_on=('id*', )),
        dict(name='everything', begin=3)])
]
find_unused_parameters = True  # what is frozen has no gradient that processes could wait for
