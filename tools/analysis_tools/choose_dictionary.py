#!/usr/bin/env python
"""Choose lambda of a graph-regularised dictionary by cross-validation on people whose names are known.

    python tools/analysis_tools/choose_dictionary.py configs/baseline/ide_resnet18_synthetic.py SOURCE.pth
    python tools/analysis_tools/choose_dictionary.py --features feats.npz --weights 0 .1 1 10 --atoms 64 256 --seeds 0 1

DTL determines lambda "by cross-validation using half of the training data as the validation set" (section 5.2). Here
half of the identities of the *source* are taken, their images are given without labels to GraphDictionary, and its
codes are scored with the labels: rank-1 and mAP between cameras, and the share of right labels as self-training and
co-training would lay them. The features themselves are the first row. Nothing of the target is looked at.

With --oracle the images may be those of the target, whose labels then choose lambda: an upper bound, no result.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Optional

import numpy as np
import torch

from mmreid.datasets.pseudo_labelled import PseudoLabelDataset
from mmreid.engine.pseudo_rounds import extract_pool
from mmreid.evaluation import FeatureFileError, evaluate_ranking, read_features
from mmreid.evaluation.retrieval_data import SPLITS, Features
from mmreid.evaluation.tables import text_table
from mmreid.pseudo_labels import GraphDictionary, anchor_labels, choose_anchor, neighbour_quality
from mmreid.pseudo_labels.cross_camera import check_cameras
from mmreid.pseudo_labels.dictionary.graph import AFFINITIES
from mmreid.pseudo_labels.dictionary.start import INITS
from mmreid.registry import DATASETS, RUNNERS
from mmreid.utils.command_line import check_device, check_output, plain_errors, say
from mmreid.utils.config import ConfigError, load_config
from mmreid.utils.distance import DISTANCES

WEIGHTS = (0., .01, .03, .1, .3, 1., 3., 10., 30.)
#: What can be scored, best first as a criterion: labels are what a dictionary is there for.
SCORES = ('label_precision', 'rank-1', 'mAP')
ORACLE = ('ORACLE: lambda is compared on the labels of these images. Where they are images of the target, the choice '
          'is no longer unsupervised: report it as an upper bound only.')
GIVEN = ('The labels of the images of this file choose lambda: they must be images of the source. For images of the '
         'target say --oracle.')


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Choose lambda of a graph-regularised dictionary.')
    parser.add_argument('config', nargs='?', help='config of the training of the source model')
    parser.add_argument('checkpoint', nargs='?', help='the source model')
    parser.add_argument('--features', metavar='FEATS.npz', help='instead: a file of features of the source, as '
                        'tools/analysis_tools/extract_features.py writes it')
    parser.add_argument('--split', choices=SPLITS, default='train', help='images of the file (default: train)')
    parser.add_argument('--weights', type=float, nargs='+', default=WEIGHTS, metavar='LAMBDA',
                        help=f'(default: {" ".join(f"{value:g}" for value in WEIGHTS)})')
    parser.add_argument('--atoms', type=int, nargs='+', default=[256], metavar='K', help='(default: 256)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='each draws other identities, and the start '
                        'of the dictionary (default: 0); scores are means over them')
    parser.add_argument('--neighbours', type=int, default=1)
    parser.add_argument('--affinity', choices=AFFINITIES, default='binary')
    parser.add_argument('--init', choices=INITS, default='svd')
    parser.add_argument('--max-iter', type=int, default=100)
    parser.add_argument('--tol', type=float, default=1e-4)
    parser.add_argument('--anchor', type=int, help='camera whose images are the classes (default: the largest)')
    parser.add_argument('--metric', choices=DISTANCES, default='euclidean', help='of rank-1 and mAP; labels are always '
                        'by the Euclidean distance (default: euclidean)')
    parser.add_argument('--by', choices=SCORES, default=SCORES[0], help=f'what is best (default: {SCORES[0]})')
    parser.add_argument('--oracle', action='store_true', help='all identities, and images of the target are allowed')
    parser.add_argument('--device', help='cpu or cuda (default: cuda where there is one)')
    parser.add_argument('--out', metavar='CHOICE.json', help='everything, as JSON')
    return parser.parse_args(argv)


# ---- features ----------------------------------------------------------------------------------------------------


def read_source(args: argparse.Namespace) -> Features:
    """Features of a file, or of the training images of a config."""
    if bool(args.features) == bool(args.config):
        raise ValueError('give CONFIG and CHECKPOINT, or --features FEATS.npz')
    if not args.features:
        return extract_features(args)
    splits = read_features(args.features)
    if args.split not in splits:
        raise FeatureFileError(f'{args.features} has no {args.split} features (found: {", ".join(splits)}); --split '
                               'chooses others')
    return splits[args.split]


def extract_features(args: argparse.Namespace) -> Features:
    """Features of the training images of a config by a model, under the test pipeline."""
    config, oracle = args.config, args.oracle
    cfg = load_config(config)
    data = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    if not data:
        raise ConfigError(f'{config} has no train_dataloader')
    rounds = data.get('type') == PseudoLabelDataset.__name__
    if rounds and not oracle:
        raise ConfigError(f'{config} trains on images of the target, whose labels must not choose lambda: name the '
                          'config that the source model was trained with, or use --oracle')
    checkpoint = args.checkpoint or (cfg.get('load_from') if rounds else None)
    if not checkpoint:
        raise ConfigError('name the checkpoint of the source model behind the config')
    images = dict(data.dataset if rounds else data, cache=False,
                  pipeline=data.test_pipeline if rounds else cfg.test_dataloader.dataset.pipeline)
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'val_dataloader', 'val_cfg',
                'val_evaluator', 'test_dataloader', 'test_cfg', 'test_evaluator', 'custom_hooks'):
        cfg[key] = None
    cfg.load_from, cfg.resume = checkpoint, False
    cfg.default_hooks = dict(default_hooks_without_training(cfg))
    with TemporaryDirectory() as folder:  # nothing is trained: what a runner writes is not kept
        cfg.work_dir, cfg.log_level = folder, 'WARNING'
        runner = RUNNERS.build(cfg)
        dataset = DATASETS.build(images)
        dataset.full_init()
        check_images(args, dataset.get_pids(), dataset.get_camids())
        runner.load_checkpoint(checkpoint)
        return extract_pool(runner, dataset, batch_size=64, num_workers=0)


def default_hooks_without_training(cfg: Any) -> Iterator[tuple[str, Any]]:
    """The default hooks but those that belong to rounds of labels."""
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if name != 'pseudo_labels':
            yield name, hook


# ---- cross-validation --------------------------------------------------------------------------------------------


def several_cameras(pids: np.ndarray, camids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Identities that more than one camera has seen, and those of a single one, which no choice can be judged by."""
    pairs = np.unique(np.stack([pids, camids])[:, pids >= 0], axis=1)
    people, cameras = np.unique(pairs[0], return_counts=True)
    return people[cameras > 1], people[cameras == 1]


def half_of(pids: np.ndarray, camids: np.ndarray, seed: int, oracle: bool) -> np.ndarray:
    """Rows of the images of half of the identities that more than one camera has seen, or of all of these for an
    oracle."""
    known, _ = several_cameras(pids, camids)
    chosen = known if oracle else np.random.default_rng(seed).permutation(known)[:len(known) // 2]
    return np.flatnonzero(np.isin(pids, chosen))


def check_images(args: argparse.Namespace, pids: np.ndarray, camids: Any) -> None:
    """Find out before anything is computed what the images of every seed are too few for.

    Raises:
        ValueError: If there are fewer than two cameras, too few identities, fewer images than atoms in the half of a
            seed, or none of the camera that is to be the anchor.
    """
    camids = check_cameras(camids, 'choose_dictionary.py')
    known, alone = several_cameras(pids, camids)
    if len(known) < 4:
        raise ValueError('cross-validation needs at least 4 identities whose labels are known and whom more than one '
                         f'camera has seen, got {len(known)} ({len(alone)} are known from a single camera)')
    share = 'all' if args.oracle else 'half'
    for seed in args.seeds:
        rows = half_of(pids, camids, seed, args.oracle)
        if max(args.atoms) > len(rows):
            raise ValueError(f'there are fewer images than atoms: --atoms {max(args.atoms):,}, and the {len(rows):,} '
                             f'images of {share} of the {len(known):,} identities (seed {seed}), which each dictionary '
                             'is fitted on; choose fewer atoms')
        choose_anchor(camids[rows], 'largest' if args.anchor is None else args.anchor)


def scores_of(codes: Any, part: Features, metric: str, anchor: Optional[int]) -> dict[str, float]:
    """Ranking between cameras, each image once the query, and right labels of the anchor's neighbours."""
    camids, pids = part.camids.numpy(), part.pids.numpy()
    ranked = evaluate_ranking(codes, codes, pids, pids, camids, camids, protocol='nd', metric=metric, topk=(1, ))
    _, neighbours = anchor_labels(codes, camids, choose_anchor(camids, 'largest' if anchor is None else anchor))
    found = neighbour_quality(neighbours, pids)
    return {'label_precision': 100 * found['label_precision'], 'rank-1': ranked['rank-1'], 'mAP': ranked['mAP']}


def labeller_of(args: argparse.Namespace, atoms: int, weight: float, seed: int) -> GraphDictionary:
    """A dictionary with one pair of settings."""
    return GraphDictionary(atoms, weight, args.neighbours, args.affinity, args.max_iter, args.tol, args.init, seed=seed)


def sweep(args: argparse.Namespace, source: Features, device: str) -> list[dict[str, Any]]:
    """A row for the features and one for each pair of settings, with means over the seeds."""
    settings = [(None, None), *((atoms, weight) for atoms in sorted(set(args.atoms))
                                for weight in sorted(set(args.weights)))]
    rows = [dict(atoms=atoms, weight=weight, seeds=[]) for atoms, weight in settings]
    for seed in args.seeds:
        part = source.rows(torch.from_numpy(half_of(source.pids.numpy(), source.camids.numpy(), seed, args.oracle)))
        feats = part.feats.to(device)
        for row in rows:
            codes, more = feats, {}
            if row['atoms']:
                fit = labeller_of(args, row['atoms'], row['weight'], seed).fit(feats, part.camids.numpy())
                codes, more = fit.codes, fit.summary()
            entry = dict(scores_of(codes, part, args.metric, args.anchor), seed=seed, images=len(part))
            row['seeds'].append(dict(entry, **{key: more[key] for key in (
                'iterations', 'converged', 'objective', 'error_share', 'roughness_share') if key in more}))
    for row in rows:
        row.update({name: fmean(entry[name] for entry in row['seeds']) for name in SCORES})
    return rows


def best_of(rows: list[dict[str, Any]], by: str) -> dict[str, Any]:
    """The dictionary with the best score, of equally good ones the first: fewest atoms, then least weight."""
    return max(rows[1:], key=lambda row: -math.inf if math.isnan(row[by]) else row[by])


def text_of(rows: list[dict[str, Any]], best: dict[str, Any], by: str) -> str:
    """The table, the best row marked."""
    cells = [[f'{"*" if row is best else " "} ' + ('features y' if row['atoms'] is None else f'{row["weight"]:g}'),
              '' if row['atoms'] is None else str(row['atoms']), *(f'{row[name]:.2f}' for name in SCORES),
              *_course(row)] for row in rows]
    gain = best[by] - rows[0][by]
    parts = [text_table(['  lambda', 'atoms', 'labels right', 'rank-1', 'mAP', 'error', 'iterations'], cells),
             f'*: best {by}: lambda {best["weight"]:g}, {best["atoms"]} atoms, {gain:+.2f} to the features']
    if gain <= 0:
        parts.append('No dictionary is better than the features here: what it adds to co-training is its difference.')
    if best['weight'] in (rows[1]['weight'], rows[-1]['weight']) and len(rows) > 2 and best['weight'] > 0:
        parts.append('The best lambda is at the end of those compared: --weights widens them.')
    stopped = [row for row in rows if not all(entry.get('converged', True) for entry in row['seeds'])]
    if stopped:
        parts.append(f'Stopped by max_iter={stopped[0]["seeds"][0]["iterations"]}: lambda '
                     f'{", ".join(sorted({format(row["weight"], "g") for row in stopped}))}')
    return '\n'.join(parts)


def _course(row: dict[str, Any]) -> list[str]:
    if row['atoms'] is None:
        return ['', '']
    return [f'{fmean(entry["error_share"] for entry in row["seeds"]):.1%}',
            f'{fmean(entry["iterations"] for entry in row["seeds"]):.0f}']


def main(argv=None) -> None:
    """Sweep, print and write."""
    args = parse_args(argv)
    with plain_errors():
        device = check_device(args.device) or ('cuda' if torch.cuda.is_available() else 'cpu')
        if args.out:
            args.out = check_output(args.out, ('.json', ), '--out', (args.config, args.checkpoint, args.features))
        for atoms in args.atoms:  # mistakes are found before features are extracted
            for weight in args.weights:
                labeller_of(args, atoms, weight, args.seeds[0])
        source = read_source(args)
        if source.camids is None:
            raise ValueError('the cameras of these images are not known, and a dictionary links images across cameras')
        pids, camids = source.pids.numpy(), source.camids.numpy()
        check_images(args, pids, camids)
        known, alone = several_cameras(pids, camids)
        say(f'{len(source):,} images x {source.feats.shape[1]:,} channels, {len(known):,} identities; '
            f'{"all" if args.oracle else "half"} of these, {len(args.seeds)} seed(s); left out: {len(alone):,} '
            'identities whom one camera alone has seen')
        if args.oracle:
            say(ORACLE)
        elif args.features:
            say(GIVEN)
        rows = sweep(args, source, device)
        best = best_of(rows, args.by)
        say(text_of(rows, best, args.by))
        if args.oracle:
            say(ORACLE)
        if args.out:
            text = json.dumps(dict(
                source=str(args.features or args.config), oracle=args.oracle, by=args.by, identities=len(known),
                left_out=len(alone), best=dict(weight=best['weight'], atoms=best['atoms']), rows=rows), indent=1)
            Path(args.out).write_text(text + '\n', encoding='utf-8')
            say(f'written: {args.out}')


if __name__ == '__main__':
    main()
