"""How DTL runs: as every other training, by iterations, with phases in which parts of the network are frozen."""

_base_ = './default_runtime.py'

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
find_unused_parameters = True  # what is frozen has no gradient that processes could wait for
