#!/usr/bin/env python
"""Score features that were written to disk: ``python tools/analysis_tools/eval_features.py feats.npz --rerank``.

The steps run in this order: junk is dropped if asked for, multi-query images are pooled, features are projected (PCA),
normalised, expanded, re-ranked.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from mmreid.evaluation import (
    PROTOCOLS,
    FeatureFileError,
    Protocol,
    RetrievalData,
    evaluate_retrieval,
    get_protocol,
    read_features,
)
from mmreid.evaluation.post_processing import (
    PCA,
    DropJunk,
    KReciprocalReRanking,
    L2Normalize,
    MultiQuery,
    PostProcessor,
    QueryExpansion,
)
from mmreid.utils.distance import DISTANCES
from mmreid.visualization import plot_cmc


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Score features of queries and gallery.')
    parser.add_argument('features', help='*.npz with query_feats, query_pids, query_camids and the same for gallery, '
                        'or a matrix *.npy')
    parser.add_argument('--labels', metavar='CSV', help='for a matrix: a line for each row with split, pid, camid')
    parser.add_argument('--protocol', nargs='+', default=['market1501'], metavar='NAME',
                        help=f'one or more of {", ".join(PROTOCOLS)} (default: market1501)')
    parser.add_argument('--metric', choices=DISTANCES, default='cosine')
    parser.add_argument('--topk', type=int, nargs='+', default=[1, 5, 10, 20], metavar='K')
    parser.add_argument('--trapezoid', action='store_true', help='also the AP of the original MATLAB evaluation')
    steps = parser.add_argument_group('post-processing')
    steps.add_argument('--drop-junk', action='store_true', help='leave junk (identity -1) out before anything else')
    steps.add_argument('--multi-query', choices=('mean', 'max'), help='pool the multi_query images of each query')
    steps.add_argument('--pca', type=int, metavar='DIMENSIONS')
    steps.add_argument('--pca-fit', default='gallery', metavar='FEATS.npz',
                       help='fit it on this file (default: gallery)')
    steps.add_argument('--whiten', action='store_true', help='scale the principal components to variance 1')
    steps.add_argument('--normalize', action='store_true', help='scale features to unit length')
    steps.add_argument('--expand', type=int, metavar='K', help='query expansion over K images')
    steps.add_argument('--alpha', type=float, default=3., help='exponent of its weights; 0: plain mean (default: 3)')
    steps.add_argument('--rerank', action='store_true', help='k-reciprocal re-ranking')
    steps.add_argument('--k1', type=int, default=20)
    steps.add_argument('--k2', type=int, default=6)
    steps.add_argument('--lambda', type=float, default=0.3, dest='lambda_value', metavar='LAMBDA')
    draws = parser.add_argument_group('protocols that draw')
    draws.add_argument('--draws', type=int, help='number of trials (default: 10)')
    draws.add_argument('--seed', type=int, help='of the trials (default: 0)')
    draws.add_argument('--splits', metavar='JSON', help='identities of each trial, a list of lists, instead of drawing')
    output = parser.add_argument_group('output')
    output.add_argument('--out', metavar='REPORT.json', help='default: beside the features, *.eval.json')
    output.add_argument('--plot', metavar='CMC.png', help='default: beside the report')
    output.add_argument('--device', help='cpu or cuda (default: cuda where the features fit)')
    return parser.parse_args(argv)


def chosen_protocols(args: argparse.Namespace) -> list[Protocol]:
    """Rows of the table with the trials that the command line asks for."""
    changes = {key: value for key, value in (('num_draws', args.draws), ('seed', args.seed)) if value is not None}
    if args.splits:
        changes['splits'] = read_splits(args.splits)
    rows = [get_protocol(name) for name in dict.fromkeys(args.protocol)]
    if changes and not any(row.draws for row in rows):
        raise ValueError('--draws, --seed and --splits belong to protocols that draw, and none of '
                         f'{", ".join(args.protocol)} does')
    return [replace(row, draws=replace(row.draws, **changes)) if row.draws else row for row in rows]


def read_splits(path: str) -> tuple[tuple[int, ...], ...]:
    """Identities of each trial from a JSON file."""
    try:
        splits = json.loads(Path(path).read_text(encoding='utf-8'))
        return tuple(tuple(int(pid) for pid in split) for split in splits)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f'--splits needs a JSON file with a list of lists of identities, {path} is none: '
                         f'{error}') from error


def chosen_steps(args: argparse.Namespace) -> list[PostProcessor]:
    """Post-processors in the order in which they run."""
    if (args.whiten or args.pca_fit != 'gallery') and not args.pca:
        raise ValueError('--whiten and --pca-fit belong to --pca DIMENSIONS')
    steps = [
        args.drop_junk and DropJunk(),
        args.multi_query and MultiQuery(args.multi_query),
        args.pca is not None and PCA(args.pca, args.whiten, args.pca_fit),
        args.normalize and L2Normalize(),
        args.expand is not None and QueryExpansion(args.expand, args.alpha),
        args.rerank and KReciprocalReRanking(args.k1, args.k2, args.lambda_value),
    ]
    return [step for step in steps if step]


def main(argv=None) -> None:
    """Evaluate, print and write."""
    args = parse_args(argv)
    try:
        protocols, steps = chosen_protocols(args), chosen_steps(args)
        splits = read_features(args.features, args.labels)
        missing = [name for name in ('query', 'gallery') if name not in splits]
        if missing:
            raise FeatureFileError(f'{args.features} has no {" and no ".join(missing)} features '
                                   f'(found: {", ".join(splits)})')
        splits.pop('train', None)
        report = evaluate_retrieval(RetrievalData(metric=args.metric, **splits), protocols, steps, args.topk,
                                    trapezoid=args.trapezoid, device=args.device)
    except (ValueError, OSError) as error:
        sys.exit(f'{type(error).__name__}: {error}')
    print(report.text())
    out = Path(args.out or Path(args.features).with_suffix('.eval.json'))
    plot = Path(args.plot or out.with_suffix('.png'))
    report.write(out)
    plot_cmc(report, plot)
    print(f'written: {out}, {plot}')


if __name__ == '__main__':
    main()
