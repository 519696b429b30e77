"""DTL with ResNet-18 on 100 people of Market-1501 in one step, as many iterations (the shape of Table 6).

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = './resnet18_market_100ids.py'

custom_hooks = []  # no first step
