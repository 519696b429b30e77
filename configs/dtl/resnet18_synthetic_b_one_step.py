"""DTL with ResNet-18 on 40 synthetic people of domain b in one step, as many iterations.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = './resnet18_synthetic_b.py'

custom_hooks = []  # no first step
