#!/usr/bin/env python
"""Train on every random split of a data set and average: ``python tools/train_splits.py CONFIG_OR_RECIPE``."""

import argparse
import os

from mmreid.engine.recipes import SplitsRun
from mmreid.engine.recipes.processes import announced_rank
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.command_line import plain_errors, say
from mmreid.utils.config import ConfigError
from mmreid.utils.distributed import close_process_group
from mmreid.utils.option_action import OptionAction


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train once for each random split of a data set (VIPeR, PRID2011, CUHK01, WARD: 10; classic '
        'CUHK03: 20) and average. Stages of a recipe that do not depend on the split are trained once.')
    parser.add_argument('config', help='config of a training or recipe, for example configs/dtl/googlenet_viper.py')
    parser.add_argument('--splits', nargs='+', type=int, metavar='N', help='which splits (default: all)')
    parser.add_argument('--work-dir', help='folder, with a folder for each stage of each split '
                        '(default: work_dirs/recipes/<name>_splits)')
    parser.add_argument('--resume', action='store_true',
                        help='skip what is finished and go on inside the split that was interrupted')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on CUDA, bfloat16 where that is not supported')
    parser.add_argument('--dry-run', action='store_true', help='check everything, print the plan and stop')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE',
                        help='change config entries of every training, of one stage (on all splits) with '
                        'STAGE.KEY=VALUE, or of one split with STAGE_splitN.KEY=VALUE')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how processes are started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with plain_errors(ConfigError, CheckpointError, FileNotFoundError):
        splits = SplitsRun(args.config, args.splits, args.work_dir, args.resume, args.cfg_options, args.amp,
                           args.launcher)
        first = announced_rank(args.launcher) == 0
        if first:
            say(splits.plan)
        if args.dry_run:
            return
        splits.run()
        if first:
            say(splits.results)
            say(f'Report: {splits.folder / splits.FILE}, {splits.folder / "recipe.md"}')
    close_process_group()


if __name__ == '__main__':
    main()
