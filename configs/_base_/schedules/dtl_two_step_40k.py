"""DTL, section 5.2, a large data set to a small one: two steps of 20,000 iterations each, before any decay."""

_base_ = './dtl_two_step_170k.py'

train_cfg = dict(max_iters=40000, val_interval=5000)
