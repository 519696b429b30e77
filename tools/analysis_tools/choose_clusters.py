#!/usr/bin/env python
"""See what numbers of clusters and thresholds would select, to choose them without labels (Fig. 5(a) and 6 of PUL).

    python tools/analysis_tools/choose_clusters.py configs/pul/resnet50_duke2market.py SOURCE.pth
    python tools/analysis_tools/choose_clusters.py feats.npz --num-clusters 500 750 1000 --plot shares.png
    python tools/analysis_tools/choose_clusters.py feats.npz --density --eps .5 .6 .7

Features come from a file (``tools/analysis_tools/extract_features.py`` writes them), or are extracted as a training in
rounds would do in its first round. k-means runs once for each number of clusters, whatever the thresholds. Where the
config labels by CameraNormalised, or --camera-normalised says so, its labeller sees standardised features here, too.
"""

import argparse
import csv
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.config import Config

from mmreid.datasets.pseudo_labelled import PseudoLabelDataset
from mmreid.engine.pseudo_rounds import extract_pool
from mmreid.evaluation import FeatureFileError, read_features
from mmreid.evaluation.retrieval_data import SPLITS, Features
from mmreid.evaluation.tables import text_table
from mmreid.pseudo_labels import (
    CameraNormalised,
    DensityClusters,
    PseudoLabels,
    SelfPacedKMeans,
    camera_mixing,
    label_quality,
)
from mmreid.pseudo_labels.exemplars import EXEMPLARS, SELECTS, select_images
from mmreid.pseudo_labels.kmeans import BACKENDS
from mmreid.pseudo_labels.selection_curve import (
    check_threshold,
    only_exemplars_warning,
    similarity_quantiles,
    suggested_threshold,
)
from mmreid.registry import RUNNERS
from mmreid.utils.command_line import check_device, check_output, plain_errors, say
from mmreid.utils.config import ConfigError, load_config

#: Share of the images that PUL selects in its first round (section IV-D).
FIRST_SHARE = .318
#: K of Fig. 6.
NUM_CLUSTERS = (250, 500, 750, 1000, 1250)
#: What of the quality of labels is shown.
QUALITY = ('purity', 'pair_f')
#: Values of eps around the labeller's own.
EPS = (.4, .5, .6, .7)
COLUMNS = ('num_clusters', 'eps', 'threshold', 'fraction', 'num_selected', 'only_exemplars', 'clusters_alive',
           'smallest', 'median', 'largest', 'singletons', 'cameras_per_cluster', 'single_camera', 'noise', 'iterations',
           'inertia', *QUALITY)


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='What numbers of clusters and thresholds would select.')
    parser.add_argument('source', metavar='FEATURES|CONFIG', help='*.npz with train_feats, train_pids (-1: nobody '
                        'knows) and train_camids, a matrix *.npy, or the config of a training in rounds *.py')
    parser.add_argument('checkpoint', nargs='?', help='for a config: the source model (default: its load_from)')
    parser.add_argument('--labels', metavar='CSV', help='for a matrix: a line for each row with split, pid, camid')
    parser.add_argument('--split', choices=SPLITS, default='train', help='images of a file to look at (default: train)')
    parser.add_argument('--camera-normalised', action=argparse.BooleanOptionalAction, default=None,
                        help='standardise the features of each camera first (default: as the config does)')
    parser.add_argument('--device', help='cpu or cuda (default: cuda where there is one)')
    means = parser.add_argument_group('self-paced k-means')
    means.add_argument('--num-clusters', type=int, nargs='+', metavar='K',
                       help=f'(default: those of {" ".join(map(str, NUM_CLUSTERS))} that the images suffice for)')
    means.add_argument('--thresholds', type=float, nargs='+', default=[.70, .75, .80, .85, .90], metavar='LAMBDA')
    means.add_argument('--exemplar', choices=EXEMPLARS, default='own')
    means.add_argument('--select', choices=SELECTS, default='own')
    means.add_argument('--backend', choices=BACKENDS, default='auto')
    means.add_argument('--seed', type=int, default=0)
    density = parser.add_argument_group('density clusters instead')
    density.add_argument('--density', action='store_true', help='over values of eps instead')
    density.add_argument('--eps', type=float, nargs='+', metavar='EPS', help=f'(default: {" ".join(map(str, EPS))})')
    density.add_argument('--min-samples', type=int, help='images that make a core (default: 4)')
    density.add_argument('--k1', type=int, help='size of the neighbourhoods (default: 20)')
    density.add_argument('--k2', type=int, help='rows of the local query expansion (default: 6)')
    output = parser.add_argument_group('output')
    output.add_argument('--out', metavar='CHOICE.json', help='everything, as JSON')
    output.add_argument('--csv', metavar='CHOICE.csv', help='a line for each pair of settings')
    output.add_argument('--plot', metavar='SHARES.png', help='selected shares, as a picture')
    return parser.parse_args(argv)


# ---- features ----------------------------------------------------------------------------------------------------


def read_source(args: argparse.Namespace) -> tuple[Features, bool]:
    """Features of a file, or those that the first round of a training would see; whether cameras are taken out.

    Raises:
        ValueError: If cameras are to be taken out and are not known.
    """
    if Path(args.source).suffix == '.py':
        if args.labels:
            raise ValueError('--labels belongs to a matrix *.npy')
        cfg = load_config(args.source)
        normalised = normalises_cameras(cfg) if args.camera_normalised is None else args.camera_normalised
        return extract_features(args.source, cfg, args.checkpoint, normalised), normalised
    if args.checkpoint:
        raise ValueError(f'a checkpoint belongs to a config *.py, and {args.source} is a file of features')
    splits = read_features(args.source, args.labels)
    if args.split not in splits:
        raise FeatureFileError(f'{args.source} has no {args.split} features (found: {", ".join(splits)}); --split '
                               'chooses others')
    found = splits[args.split]
    if found.camids is not None and int(found.camids.min()) < 0:
        found = replace(found, camids=None)
    if args.camera_normalised:
        check_cameras(found.camids, several=True)
    return found, bool(args.camera_normalised)


def normalises_cameras(cfg: Config) -> bool:
    """Whether a training in rounds labels by :class:`CameraNormalised`."""
    parts = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])]
    while parts:  # hooks, their labellers, and labellers in these
        part = parts.pop()
        if isinstance(part, dict):
            kind = part.get('type')
            if kind is CameraNormalised or str(kind).rpartition('.')[2] == CameraNormalised.__name__:
                return True
            parts.append(part.get('labeller'))
    return False


def check_cameras(camids: Optional[torch.Tensor], several: bool = False) -> None:
    """Refuse to take cameras out that are not known, or are one where a file ought to have several."""
    known = None if camids is None else camids.numpy()
    if several and known is not None and len(np.unique(known)) < 2:
        raise ValueError('--camera-normalised needs images of several cameras, and those of the file have one number; '
                         'images whose cameras nobody knows are written so, too')
    try:
        CameraNormalised(DensityClusters()).check_cameras(known)
    except ValueError as error:
        raise ValueError(f'{error} Or leave the cameras in: --no-camera-normalised.') from None


def extract_features(config: str, cfg: Config, checkpoint: Optional[str], normalised: bool) -> Features:
    """Features of the images without labels, by the model that the training would start from."""
    data = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    if data.get('type') != PseudoLabelDataset.__name__:
        raise ConfigError(f'{config} does not train in rounds: its train_dataloader.dataset must be a '
                          f'{PseudoLabelDataset.__name__}, got {data.get("type")!r}. For other configs write a file of '
                          'features first, with tools/analysis_tools/extract_features.py')
    checkpoint = checkpoint or cfg.get('load_from')
    if not checkpoint:
        raise ConfigError(f'{config} has no load_from: name the checkpoint of the source model')
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader', 'test_cfg', 'test_evaluator'):
        cfg[key] = None
    cfg.load_from, cfg.resume = checkpoint, False
    with TemporaryDirectory() as folder:  # nothing is trained: what a runner writes is not kept
        cfg.work_dir, cfg.log_level = folder, 'WARNING'
        runner = RUNNERS.build(cfg)
        runner.load_checkpoint(checkpoint)
        overlay = runner.train_dataloader.dataset
        camids = overlay.pool_camids()
        camids = None if camids is None else torch.from_numpy(camids)
        if normalised:
            check_cameras(camids)
        feats = extract_pool(runner, overlay.pool_view(), batch_size=64,
                             num_workers=cfg.train_dataloader.get('num_workers', 0))
        return replace(feats, camids=camids)


# ---- sweeps ------------------------------------------------------------------------------------------------------


def check_settings(args: argparse.Namespace) -> None:
    """Find mistakes before features are extracted.

    Raises:
        ValueError: If a setting is out of its range, or belongs to the other labeller.
    """
    density = [key for key in ('eps', 'min_samples', 'k1', 'k2') if getattr(args, key) is not None]
    if density and not args.density:
        raise ValueError('--eps, --min-samples, --k1 and --k2 belong to --density')
    if args.num_clusters and args.density:
        raise ValueError('--num-clusters does not belong to --density, which finds the number')
    args.thresholds = sorted({check_threshold(value) for value in args.thresholds})
    labellers(args, count=None)


def labellers(args: argparse.Namespace, count: Optional[int]) -> list[Union[SelfPacedKMeans, DensityClusters]]:
    """All labellers of the sweep, made before the first one runs.

    Raises:
        ValueError: If a setting is out of its range, or there are fewer images than clusters (None: not known yet).
    """
    if args.density:
        given = {key: value for key in ('min_samples', 'k1', 'k2') if (value := getattr(args, key)) is not None}
        return [DensityClusters(eps, **given) for eps in sorted(set(args.eps or EPS))]
    numbers = args.num_clusters or [number for number in NUM_CLUSTERS if count is None or number <= count]
    made = [SelfPacedKMeans(number, threshold=None, exemplar=args.exemplar, select=args.select, seed=args.seed,
                            backend=args.backend) for number in sorted(set(numbers))]
    too_many = [str(labeller.num_clusters) for labeller in made if count is not None and labeller.num_clusters > count]
    if too_many or not made:
        raise ValueError(f'there are fewer images than clusters: {count:,} images, --num-clusters '
                         f'{" ".join(too_many or map(str, NUM_CLUSTERS))}; choose fewer clusters')
    return made


def sweep_thresholds(labeller: SelfPacedKMeans, feats: torch.Tensor, pids: Optional[np.ndarray],
                     camids: Optional[np.ndarray], thresholds: list[float]) -> dict[str, Any]:
    """One run of k-means, and what each threshold selects of it."""
    found = labeller(feats)
    labels = torch.from_numpy(found.labels).to(feats.device)
    entry = dict(num_clusters=labeller.num_clusters, **sizes(found, camids), iterations=found.info['iterations'],
                 inertia=found.info['inertia'], converged=found.info['converged'], warnings=found.info['warnings'],
                 similarity_quantiles=found.info['similarity_quantiles'], all=quality(found.labels, None, pids),
                 thresholds=[])

    def selected(threshold: float) -> tuple[dict[str, Any], torch.Tensor]:
        chosen = select_images(feats, labels, found.num_clusters, threshold, labeller.exemplar, labeller.select)
        mask = chosen.mask.cpu().numpy()
        row = dict(threshold=threshold, fraction=float(mask.mean()), num_selected=int(mask.sum()),
                   only_exemplars=int(mask.sum()) == found.num_clusters, **quality(found.labels, mask, pids))
        return row, chosen.similarities

    for threshold in thresholds:
        row, similarities = selected(threshold)
        entry['thresholds'].append(row)
    entry['as_pul'] = selected(suggested_threshold(similarities, FIRST_SHARE))[0]
    if entry['thresholds'][0]['only_exemplars']:  # thresholds ascend, so none selects more
        others = torch.ones_like(similarities, dtype=torch.bool)
        others[torch.from_numpy(found.exemplars).to(others.device)] = False
        entry['warnings'].append(only_exemplars_warning(found.num_clusters, similarities, similarities[others],
                                                        thresholds[0]))
        entry['similarity_quantiles'] = similarity_quantiles(similarities[others])
    return entry


def sweep_eps(labeller: DensityClusters, feats: torch.Tensor, pids: Optional[np.ndarray],
              camids: Optional[np.ndarray]) -> dict[str, Any]:
    """What one value of eps finds."""
    found = labeller(feats)
    return dict(eps=labeller.eps, fraction=found.fraction, num_selected=found.info['num_selected'],
                **sizes(found, camids), noise=found.info['num_unlabelled'], warnings=found.info['warnings'],
                reason=found.info.get('reason'), **quality(found.labels, found.mask, pids))


def sizes(found: PseudoLabels, camids: Optional[np.ndarray]) -> dict[str, Any]:
    """Clusters that have images, how many images these have, and, with several cameras, how many cameras."""
    mixing = {}
    if camids is not None and len(np.unique(camids)) > 1:
        mixing = camera_mixing(found.labels, None, camids)
    spread, each = found.info['cluster_size'], found.info['cluster_sizes']
    return dict(clusters_alive=found.num_clusters, smallest=spread['min'], median=spread['median'],
                largest=spread['max'], singletons=each.count(1),
                **{key: None if math.isnan(value) else value for key, value in mixing.items()})


def quality(labels: np.ndarray, mask: Optional[np.ndarray], pids: Optional[np.ndarray]) -> dict[str, Optional[float]]:
    """Purity and pair F of the labels, None where there is nothing to judge; nothing at all without identities."""
    if pids is None:
        return {}
    values = label_quality(labels, mask, pids)
    return {key: None if math.isnan(values[key]) else values[key] for key in QUALITY}


# ---- output ------------------------------------------------------------------------------------------------------


def means_text(entries: list[dict[str, Any]]) -> str:
    """Tables of the sweep over numbers of clusters and thresholds."""
    thresholds = [row['threshold'] for row in entries[0]['thresholds']]
    clusters = [[str(entry['num_clusters']), *_size_cells(entry), str(entry['iterations']), f'{entry["inertia"]:.6g}']
                for entry in entries]
    shares = [[str(entry['num_clusters']), *(f'{row["fraction"]:.1%}{"*" * row["only_exemplars"]}'
                                             for row in entry['thresholds'])] for entry in entries]
    parts = ['Clusters', text_table(['K', *SIZE_HEADER, 'iterations', 'inertia'], clusters),
             'Share selected at each lambda', text_table(['K', *(f'{value:g}' for value in thresholds)], shares)]
    if any(row['only_exemplars'] for entry in entries for row in entry['thresholds']):
        parts.append('*: one image of each cluster and no other')
    if entries[0]['all']:
        for key, title in zip(QUALITY, ('Purity', 'Pair F')):
            rows = [[str(entry['num_clusters']), *(_score(row[key]) for row in (*entry['thresholds'], entry['all']))]
                    for entry in entries]
            parts += [f'{title} of the selected images', text_table(
                ['K', *(f'{value:g}' for value in thresholds), 'all images'], rows)]
    for entry in entries:
        row = entry['as_pul']
        parts.append(f'K {entry["num_clusters"]}: lambda {row["threshold"]:g} selects {row["fraction"]:.1%}; PUL '
                     f'starts with {FIRST_SHARE:.1%}' + _floor_text(entry))
        parts += [f'K {entry["num_clusters"]}: {warning}' for warning in entry['warnings']]
    return '\n'.join(parts)


def density_text(entries: list[dict[str, Any]]) -> str:
    """Table of the sweep over eps."""
    judged = 'purity' in entries[0]
    rows = [[f'{entry["eps"]:g}', f'{entry["fraction"]:.1%}', str(entry['noise']), *_size_cells(entry),
             *(_score(entry[key]) for key in QUALITY if judged)] for entry in entries]
    parts = ['Density clusters', text_table(
        ['eps', 'selected', 'noise', *SIZE_HEADER, *(('purity', 'pair F') if judged else ())], rows)]
    for entry in entries:
        parts += [f'eps {entry["eps"]:g}: {text}' for text in (*entry['warnings'], entry['reason']) if text]
    return '\n'.join(parts)


SIZE_HEADER = ('clusters', 'smallest', 'median', 'largest', 'of one image', 'cameras each', 'of one camera')


def _size_cells(entry: dict[str, Any]) -> list[str]:
    cameras, single = entry.get('cameras_per_cluster'), entry.get('single_camera')
    return [*(f'{entry[key]:g}' for key in ('clusters_alive', 'smallest', 'median', 'largest', 'singletons')),
            'n/a' if cameras is None else f'{cameras:.2f}', 'n/a' if single is None else f'{single:.0%}']


def _score(value: Optional[float]) -> str:
    return 'n/a' if value is None else f'{value:.3f}'


def _floor_text(entry: dict[str, Any]) -> str:
    """Where each cluster's one image is more than that already."""
    floor = entry['clusters_alive'] / entry['num_images']
    return f' (one image of each cluster is {floor:.1%} already: fewer clusters)' if floor > FIRST_SHARE else ''


def write_csv(entries: list[dict[str, Any]], path: Path) -> None:
    """A line for each pair of K and lambda, or for each eps."""
    rows = [{**entry, **row} for entry in entries for row in entry.get('thresholds', [{}])]
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    with open(path, 'w', newline='', encoding='utf-8') as stream:
        writer = csv.DictWriter(stream, columns, extrasaction='ignore')
        writer.writeheader()
        writer.writerows(rows)


def figure_of(entries: list[dict[str, Any]]) -> Any:
    """Selected share over lambda, a line for each K, or over eps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(6, 4), layout='constrained')
    FigureCanvasAgg(figure)
    density = 'eps' in entries[0]
    axes = figure.add_subplot(xlabel='eps' if density else 'lambda', ylabel='images selected (%)')
    for label, points in _lines(entries):
        axes.plot(*zip(*points), marker='.', label=label)
    if not density:
        axes.axhline(100 * FIRST_SHARE, color='grey', linestyle='--', linewidth=1,
                     label=f'first round of PUL, {FIRST_SHARE:.1%}')
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _lines(entries: list[dict[str, Any]]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    if 'eps' in entries[0]:
        yield 'density clusters', [(entry['eps'], 100 * entry['fraction']) for entry in entries]
        return
    for entry in entries:
        yield (f'K = {entry["num_clusters"]}',
               [(row['threshold'], 100 * row['fraction']) for row in entry['thresholds']])


def outputs(args: argparse.Namespace) -> dict[str, Path]:
    """Files to write, which must replace neither an input nor each other."""
    taken, chosen = [args.source, args.checkpoint, args.labels], {}
    for name, suffixes in (('out', ('.json', )), ('csv', ('.csv', )), ('plot', ('.png', '.pdf', '.svg'))):
        if getattr(args, name):
            chosen[name] = check_output(getattr(args, name), suffixes, f'--{name}', taken)
            taken.append(chosen[name])
    return chosen


def main(argv=None) -> None:
    """Sweep, print and write."""
    args = parse_args(argv)
    with plain_errors():
        device = check_device(args.device) or ('cuda' if torch.cuda.is_available() else 'cpu')
        files = outputs(args)
        check_settings(args)
        source, normalised = read_source(args)
        feats, camids = source.feats.to(device), None if source.camids is None else source.camids.numpy()
        pids = source.pids.numpy() if bool((source.pids >= 0).any()) else None
        say(f'{len(source):,} images x {feats.shape[1]:,} channels'
            + (', nobody knows who is who' if pids is None else f', {len(np.unique(pids[pids >= 0])):,} identities'))
        if normalised:
            feats = torch.as_tensor(CameraNormalised(labellers(args, len(source))[0]).normalise(feats, camids))
            say(f'standardised for each camera by itself, {len(np.unique(camids))} of them (CameraNormalised)')
        entries = []
        for labeller in labellers(args, len(source)):
            say(f'{labeller.describe()} ...' if args.density else f'k-means, K {labeller.num_clusters} ...')
            entry = sweep_eps(labeller, feats, pids, camids) if args.density else \
                sweep_thresholds(labeller, feats, pids, camids, args.thresholds)
            entries.append(dict(entry, num_images=len(source)))
        say(density_text(entries) if args.density else means_text(entries))
        if 'out' in files:
            files['out'].write_text(json.dumps(dict(source=str(args.source), images=len(source),
                                                    camera_normalised=normalised, sweep=entries),
                                               indent=1) + '\n', encoding='utf-8')
        if 'csv' in files:
            write_csv(entries, files['csv'])
        if 'plot' in files:
            figure_of(entries).savefig(files['plot'], dpi=120)
        if files:
            say(f'written: {", ".join(map(str, files.values()))}')


if __name__ == '__main__':
    main()
