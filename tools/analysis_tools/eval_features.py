#!/usr/bin/env python
"""Score features that were written to disk: ``python tools/analysis_tools/eval_features.py feats.npz --rerank``.

The steps run in this order: junk is dropped if asked for, multi-query images are pooled, features are projected (PCA),
normalised, expanded, re-ranked.
"""

import argparse
import json
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
from mmreid.utils.command_line import check_device, check_output, plain_errors, say
from mmreid.utils.distance import DISTANCES
from mmreid.utils.k_reciprocal import VARIANTS
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
    steps.add_argument('--alpha', type=float, help='exponent of its weights; 0: plain mean (default: 3)')
    steps.add_argument('--rerank', action='store_true', help='k-reciprocal re-ranking')
    steps.add_argument('--k1', type=int, help='size of the neighbourhoods (default: 20)')
    steps.add_argument('--k2', type=int, help='rows of the local query expansion (default: 6)')
    steps.add_argument('--lambda', type=float, dest='lambda_value', metavar='LAMBDA',
                       help='weight of the original distance (default: 0.3)')
    steps.add_argument('--variant', choices=VARIANTS, help='squared-twice is what torchreid computes')
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
    if args.splits and args.draws is not None:
        raise ValueError('give --draws or --splits, not both')
    if changes and not any(row.draws for row in rows):
        raise ValueError('--draws, --seed and --splits belong to protocols that draw, and none of '
                         f'{", ".join(args.protocol)} does')
    return [replace(row, draws=replace(row.draws, **changes)) if row.draws else row for row in rows]


def read_splits(path: str) -> tuple[tuple[int, ...], ...]:
    """Identities of each trial from a JSON file."""
    try:
        splits = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ValueError(f'--splits needs a JSON file, {path} is none: {error}') from error
    if not isinstance(splits, list) or not all(isinstance(split, list) and all(type(pid) is int for pid in split)
                                               for split in splits):
        raise ValueError(f'--splits needs a list of lists of integers, such as [[3, 8], [5, 13]]; {path} has none')
    return tuple(tuple(split) for split in splits)


def chosen_steps(args: argparse.Namespace) -> list[PostProcessor]:
    """Post-processors in the order in which they run."""
    if (args.whiten or args.pca_fit != 'gallery') and not args.pca:
        raise ValueError('--whiten and --pca-fit belong to --pca DIMENSIONS')
    expansion = _given(args, alpha='alpha')
    if expansion and args.expand is None:
        raise ValueError('--alpha belongs to --expand K')
    ranking = _given(args, k1='k1', k2='k2', lambda_value='lambda_value', variant='variant')
    if ranking and not args.rerank:
        raise ValueError('--k1, --k2, --lambda and --variant belong to --rerank')
    steps = [
        args.drop_junk and DropJunk(),
        args.multi_query and MultiQuery(args.multi_query),
        args.pca is not None and PCA(args.pca, args.whiten, args.pca_fit),
        args.normalize and L2Normalize(),
        args.expand is not None and QueryExpansion(args.expand, **expansion),
        args.rerank and KReciprocalReRanking(**ranking),
    ]
    return [step for step in steps if step]


def _given(args: argparse.Namespace, **names: str) -> dict:
    return {key: getattr(args, name) for key, name in names.items() if getattr(args, name) is not None}


def read_data(args: argparse.Namespace) -> RetrievalData:
    """Features of queries, gallery and, if there are any, multi-query images."""
    splits = read_features(args.features, args.labels)
    missing = [name for name in ('query', 'gallery') if name not in splits]
    if missing:
        raise FeatureFileError(f'{args.features} has no {" and no ".join(missing)} features '
                               f'(found: {", ".join(splits)})')
    if args.multi_query and 'multi_query' not in splits:
        raise FeatureFileError(f'--multi-query needs the arrays multi_query_feats, multi_query_pids and '
                               f'multi_query_camids, which {args.features} does not have')
    splits.pop('train', None)
    return RetrievalData(metric=args.metric, **splits)


def outputs(args: argparse.Namespace) -> tuple[Path, Path]:
    """Files of the report and of the plot, which must replace neither an input nor each other."""
    inputs = (args.features, args.labels, args.pca_fit, args.splits)
    out = check_output(args.out or Path(args.features).with_suffix('.eval.json'), ('.json', ), '--out', inputs)
    plot = args.plot or out.with_suffix('.png')
    return out, check_output(plot, ('.png', '.pdf', '.svg'), '--plot', (*inputs, out))


def main(argv=None) -> None:
    """Evaluate, write and print."""
    args = parse_args(argv)
    with plain_errors():
        check_device(args.device)
        out, plot = outputs(args)
        protocols, steps = chosen_protocols(args), chosen_steps(args)
        report = evaluate_retrieval(read_data(args), protocols, steps, args.topk, trapezoid=args.trapezoid,
                                    device=args.device)
        report.source = dict(features=str(args.features), labels=args.labels)
        report.write(out)
        plot_cmc(report, plot)
        say(f'{report.text()}\nwritten: {out}, {plot}')


if __name__ == '__main__':
    main()
