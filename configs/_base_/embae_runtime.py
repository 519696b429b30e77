"""How EmbAE runs: the score of the weights it starts from is taken, and tests are on ten crops (section 5.1)."""

_base_ = './pseudo_label_runtime.py'

tta = dict(default='ten_crop')  # in tools/test.py
