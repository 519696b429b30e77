"""Print parameters and Mult-Adds of a model, part by part, beside what its paper states."""

import argparse
import sys

import torch
from mmengine.config import Config, DictAction
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import mmreid.models  # noqa: F401 (registers the components)
from mmreid.registry import MODELS
from mmreid.utils.config import ConfigError, load_config

#: Parameters in millions that PTL states (Table 1), by backbone, depth and neck.
PAPER = {
    ('ResNetTaps', 50, 'ReductionNeck'): ('ResNet-50', 28),
    ('ResNetTaps', 50, 'PTLNeck'): ('ResNet-50+PTL', 35),
    ('DenseNetTaps', 161, 'ReductionNeck'): ('DenseNet-161', 32),
    ('DenseNetTaps', 161, 'PTLNeck'): ('DenseNet-161+PTL', 42),
}
REMARK = ('The paper states whole networks and no widths. Counted here: backbone without its ImageNet classifier, neck '
          'with\nthe 1x1 convolution to the feature, and the three-layer classifier, whose last layer depends on the '
          'number of classes.\nWidths of fully connected layers, fusions and cells are choices made to meet the stated '
          'counts; see docs/en/notes/faithfulness.md.')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file, also one of configs/_base_/models')
    parser.add_argument('--shape', type=int, nargs=2, default=(256, 128), metavar=('H', 'W'), help='input size')
    parser.add_argument('--num-classes', type=int, default=751, help='where the config leaves it to the dataset')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value pairs merged into the config')
    return parser.parse_args()


def build_model(cfg: Config, num_classes: int) -> nn.Module:
    """Build the model of a config without loading weights."""
    model = cfg.model.copy()
    for head in (model.get('heads') or {}).values():
        if 'num_classes' in head and head['num_classes'] is None:
            head['num_classes'] = num_classes
    return MODELS.build(model).eval()


def count(model: nn.Module, shape: tuple[int, int]) -> list[tuple[str, float, float]]:
    """Rows of (part, millions of parameters, billions of Mult-Adds for one image)."""
    rows, x = [], torch.zeros(1, 3, *shape)
    for name, part in [('backbone', model.backbone), ('neck', model.neck), *model.heads.items()]:
        feed = x[part.in_key] if name in model.heads else x
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            out = part(feed)
        x = x if name in model.heads else out
        label = f'head {name}' if name in model.heads else name
        rows.append((label, sum(p.numel() for p in part.parameters()) / 1e6, counter.get_total_flops() / 2e9))
    return rows


def main() -> None:
    """Print the table."""
    args = parse_args()
    try:
        cfg = load_config(args.config, args.cfg_options)
    except ConfigError as error:
        sys.exit(str(error))
    parts = count(build_model(cfg, args.num_classes), tuple(args.shape))
    totals = [(label, sum(row[1] for row in rows), sum(row[2] for row in rows))
              for label, rows in (('to extract features', parts[:2]), ('in training', parts))]
    print(f'{args.config}, one image of {args.shape[0]} x {args.shape[1]}')
    print(f'{"part":<20} {"params (M)":>11} {"Mult-Adds (G)":>14}')
    for label, params, mult_adds in parts + totals:
        print(f'{label:<20} {params:>11.2f} {mult_adds:>14.3f}')
    backbone, neck = cfg.model.backbone, cfg.model.neck
    stated = PAPER.get((backbone.type, backbone.get('depth'), neck.type))
    if stated:
        print(f'PTL, Table 1: {stated[0]} has {stated[1]} M parameters.\n{REMARK}')


if __name__ == '__main__':
    main()
