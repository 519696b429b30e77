"""How PLA runs: tests are on ten crops (section 4.2)."""

_base_ = './default_runtime.py'

default_hooks = dict(checkpoint=dict(interval=10))
tta = dict(default='ten_crop')  # in tools/test.py
