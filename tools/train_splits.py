#!/usr/bin/env python
"""Train on every random split of a data set and average: ``python tools/train_splits.py CONFIG_OR_RECIPE``."""

import argparse

from mmreid.engine.recipes import SplitsRun
from mmreid.engine.recipes.command_line import add_run_arguments, carry_out
from mmreid.visualization import draw_finished_rounds


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train once for each random split of a data set (VIPeR, PRID2011, CUHK01, WARD: 10; classic '
        'CUHK03: 20) and average. Stages of a recipe that do not depend on the split are trained once.')
    parser.add_argument('config', help='config of a training or recipe, for example configs/dtl/googlenet_viper.py')
    parser.add_argument('--splits', nargs='+', type=int, metavar='N', help='which splits (default: all)')
    add_run_arguments(
        parser,
        work_dir='folder, with a folder for each stage of each split (default: work_dirs/recipes/<name>_splits)',
        resume='skip what is finished and go on inside the split that was interrupted',
        options='change config entries of every training, of one stage (on all splits) with STAGE.KEY=VALUE, or of one '
        'split with STAGE_splitN.KEY=VALUE')
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    carry_out(args, lambda: SplitsRun(args.config, args.splits, args.work_dir, args.resume, args.cfg_options, args.amp,
                                      args.launcher),
              lambda run: f'{run.folder / run.FILE}, {run.folder / "recipe.md"}',
              finish=lambda run: draw_finished_rounds(run.folder, stages=True))


if __name__ == '__main__':
    main()
