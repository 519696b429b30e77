#!/usr/bin/env python
"""Rank a test set by the verification subnet of a model and by the distance of its features, and compare.

    python tools/analysis_tools/verification_scores.py CONFIG CHECKPOINT
    python tools/analysis_tools/verification_scores.py CONFIG CHECKPOINT --num-queries 100 --out scores.json

By the distance every image has a feature of its own (single-image representation, SIR); the subnet runs once for every
pair of images (cross-image representation, CIR), with so many times the multiply-adds a pair. Both rank the same
embeddings, which are extracted once and not timed; the seconds are those of computing the scores of the same queries
and the same gallery, block by block, on one device.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from mmreid.evaluation import Features, ReIDMetric, evaluate_protocols, read_features
from mmreid.evaluation.functional import Protocol, make_labels
from mmreid.models.heads import VerificationHead
from mmreid.registry import METRICS, RUNNERS
from mmreid.utils import pairwise_distance
from mmreid.utils.checkpoint import CheckpointError, write_text
from mmreid.utils.command_line import check_output, plain_errors, say
from mmreid.utils.config import ConfigError, add_common_arguments, config_from_arguments, drop_training
from mmreid.utils.distance import DISTANCES
from mmreid.utils.memory import seconds

#: Queries whose scores are held at a time.
BLOCK = 64


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file the model was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--head', metavar='NAME', help='verification head of the model (default: the one that reads '
                        'the feature). The distance is that of the embedding it reads.')
    parser.add_argument('--metric', choices=DISTANCES, help='distance (default: that of the test of the config)')
    parser.add_argument('--symmetric', action='store_true', help='average the subnet over both orders of a pair')
    parser.add_argument('--num-queries', type=int, metavar='N', help='only so many queries, drawn at random: the '
                        'subnet costs a pass for every pair (default: all)')
    parser.add_argument('--seed', type=int, default=0, help='of the drawn queries (default: 0)')
    parser.add_argument('--out', metavar='SCORES.json', help='also write the result to a file')
    add_common_arguments(parser)
    return parser.parse_args(argv)


class TimedBlocks:
    """Distances of blocks of queries to the gallery, and the seconds that they took."""

    def __init__(self, query: torch.Tensor, gallery: torch.Tensor,
                 distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        self.query, self.gallery, self.distance, self.seconds = query, gallery, distance, 0.0
        distance(query[:1], gallery[:256])  # what is loaded at the first call is not counted

    def __call__(self, start: int, stop: int) -> torch.Tensor:
        """Distances ``(stop - start, G)``."""
        block: list[torch.Tensor] = []
        self.seconds += seconds(lambda: block.append(self.distance(self.query[start:stop], self.gallery)),
                                self.query.device)
        return block[0]


def choose_head(model: nn.Module, name: str | None) -> tuple[str, VerificationHead]:
    """The verification head of that name, or the one that reads the feature of the model.

    Raises:
        ConfigError: If there is none; the message names those there are.
    """
    heads = {key: head for key, head in getattr(model, 'heads', {}).items() if isinstance(head, VerificationHead)}
    if name is None:
        fitting = [key for key, head in heads.items() if head.in_key == model.feature_key]
        name = fitting[0] if len(fitting) == 1 else None
    if name not in heads:
        wanted = f'named {name!r}' if name else f'of its own on {getattr(model, "feature_key", "feat")!r}'
        raise ConfigError(f'the model has no VerificationHead {wanted}; those it has: '
                          f'{", ".join(f"{key} on {head.in_key}" for key, head in heads.items()) or "none"}')
    return name, heads[name]


def prepare_config(args: argparse.Namespace) -> tuple[Config, list[Protocol], str]:
    """The config without its training part, and the protocols and the distance of its test."""
    cfg = config_from_arguments(args)
    if args.launcher != 'none':
        raise ConfigError('seconds are compared on one device: start this tool without --launcher')
    cfg.load_from, cfg.resume = args.checkpoint, False
    drop_training(cfg)
    given = cfg.test_evaluator if isinstance(cfg.test_evaluator, (list, tuple)) else [cfg.test_evaluator]
    metrics = [metric for metric in map(METRICS.build, given) if isinstance(metric, ReIDMetric)]
    if not metrics:
        raise ConfigError(f'{args.config} has no ReIDMetric in test_evaluator, which says how to score a ranking')
    return cfg, metrics[0].protocols, args.metric or metrics[0].metric


def draw(query: Features, number: int | None, seed: int) -> Features:
    """So many of the queries, in their order.

    Raises:
        ValueError: If the number is not positive.
    """
    if number is None or number >= len(query):
        return query
    if number < 1:
        raise ValueError(f'--num-queries must be positive, got {number}')
    chosen = torch.randperm(len(query), generator=torch.Generator().manual_seed(seed))[:number].sort().values
    return query.rows(chosen)


def compare(query: Features, gallery: Features, sides: dict[str, TimedBlocks], protocols: list[Protocol]) -> dict:
    """Metrics and seconds of each side, and the ratio of the seconds."""
    labels = make_labels(query.pids, gallery.pids, query.camids, gallery.camids, protocols)
    found: dict[str, Any] = {}
    for name, blocks in sides.items():
        results = evaluate_protocols(blocks, labels, protocols, device=blocks.query.device, chunk_size=BLOCK)
        metrics = {f'{row}/{key}': value for row, result in results.items() for key, value in result.metrics.items()}
        found[name] = dict(metrics=metrics, seconds=blocks.seconds)
    sir, cir = found['SIR'], found['CIR']
    return dict(found, ratio=cir['seconds'] / sir['seconds'], num_queries=len(query), num_gallery=len(gallery),
                device=str(sides['SIR'].query.device))


def multiply_adds(head: VerificationHead, symmetric: bool) -> dict[str, int]:
    """Multiply-adds a pair of both sides: those of the layers, and one for each value of a distance."""
    distance = head.in_channels
    subnet = sum(layer.weight.numel() for layer in head.modules() if isinstance(layer, nn.Linear)) or distance
    return dict(SIR=distance, CIR=subnet * (2 if symmetric else 1))


def table(result: dict) -> str:
    """Both sides in lines."""
    pairs = result['num_queries'] * result['num_gallery']
    lines = [f'{result["num_queries"]:,} queries x {result["num_gallery"]:,} gallery images = {pairs:,} pairs, '
             f'head {result["head"]!r}, {result["metric"]} distance, {result["device"]}',
             f'{"":<32} {"distance (SIR)":>16} {"subnet (CIR)":>16}']
    sir, cir = result['SIR'], result['CIR']
    for key in sir['metrics']:
        if key.split('/')[-1] in ('mAP', 'rank-1', 'rank-5', 'rank-10'):
            lines.append(f'{key + ", %":<32} {sir["metrics"][key]:>16.2f} {cir["metrics"][key]:>16.2f}')
    lines.append(f'{"seconds":<32} {sir["seconds"]:>16.4f} {cir["seconds"]:>16.4f}')
    sums = result['multiply_adds']
    lines.append(f'{"multiply-adds a pair":<32} {sums["SIR"]:>16,} {sums["CIR"]:>16,}')
    lines.append(f'the subnet takes {result["ratio"]:,.0f} times as long, with {sums["CIR"] / sums["SIR"]:,.0f} times '
                 'the multiply-adds a pair')
    return '\n'.join(lines)


def verification_scores(args: argparse.Namespace) -> dict:
    """Extract, rank twice and compare."""
    with tempfile.TemporaryDirectory() as folder:
        with plain_errors():
            if args.out:
                check_output(args.out, ('.json', ), '--out', (args.config, args.checkpoint))
            cfg, protocols, metric = prepare_config(args)
            feats = Path(folder) / 'feats.npz'
            cfg.test_evaluator = dict(type='FeatureDump', out=str(feats))
            runner = RUNNERS.build(cfg)
            name, head = choose_head(runner.model, args.head)
            runner.model.feature_key = head.in_key
            args.device = next(runner.model.parameters()).device
        with plain_errors(CheckpointError, ConfigError, ValueError, OSError):
            runner.test()
            splits = read_features(feats)
            query, gallery = draw(splits['query'], args.num_queries, args.seed), splits['gallery']
            result = dict(config=args.config, checkpoint=args.checkpoint, head=name, metric=metric,
                          symmetric=args.symmetric, multiply_adds=multiply_adds(head, args.symmetric),
                          date=time.strftime('%Y-%m-%d %H:%M:%S'),
                          **compare(query, gallery, both_sides(query, gallery, head, metric, args), protocols))
            if args.out:
                write_text(json.dumps(result, indent=2) + '\n', args.out)
    return result


def both_sides(query: Features, gallery: Features, head: VerificationHead, metric: str,
               args: argparse.Namespace) -> dict[str, TimedBlocks]:
    """The distance of the embeddings, and the subnet's score turned round, on the device of the model."""
    feats = query.feats.to(args.device), gallery.feats.to(args.device)
    return {'SIR': TimedBlocks(*feats, lambda q, g: pairwise_distance(q, g, metric)),
            'CIR': TimedBlocks(*feats, lambda q, g: -head.score(q, g, args.symmetric))}


def main(argv=None) -> None:
    """Compare and print."""
    say(table(verification_scores(parse_args(argv))))


if __name__ == '__main__':
    main()
