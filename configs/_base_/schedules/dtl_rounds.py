"""DTL without labels: learning rate 0.001 as in dtl_two_step_40k.py, which ends before any decay; so does each round.

How long rounds are is not in the paper. Configs take two steps of 20,000 iterations, as for a small data set with
labels, in whole epochs, because rounds are counted in these.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=2e-4))
param_scheduler = dict(type='ConstantLR', factor=1.0)
train_cfg = dict(by_epoch=True)
val_cfg = dict()
test_cfg = dict()
find_unused_parameters = True  # what is frozen has no gradient that processes could wait for
