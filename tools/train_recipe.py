#!/usr/bin/env python
"""Run a recipe, several trainings in a chain: ``python tools/train_recipe.py RECIPE``."""

import argparse
import os

from mmreid.engine.recipes import RecipeRun
from mmreid.engine.recipes.processes import announced_rank
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.command_line import plain_errors, say
from mmreid.utils.config import ConfigError
from mmreid.utils.distributed import close_process_group
from mmreid.utils.option_action import OptionAction


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Run the stages of a recipe, each from what earlier ones have learnt.')
    parser.add_argument('recipe', help='recipe file, for example configs/recipes/duke2market2msmt17_ptl.py')
    parser.add_argument('--work-dir', help='folder of the recipe, with a folder for each stage '
                        '(default: work_dirs/recipes/<recipe name>)')
    parser.add_argument('--resume', action='store_true',
                        help='skip the stages that are finished and go on inside the one that was interrupted')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on CUDA, bfloat16 where that is not supported')
    parser.add_argument('--dry-run', action='store_true', help='check everything, print the plan and stop')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE',
                        help='change config entries of every stage, or of one with STAGE.KEY=VALUE')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how processes are started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with plain_errors(ConfigError, CheckpointError, FileNotFoundError):
        recipe = RecipeRun(args.recipe, args.work_dir, args.resume, args.cfg_options, args.amp, args.launcher)
        first = announced_rank(args.launcher) == 0
        if first:
            say(recipe.plan)
        if args.dry_run:
            return
        recipe.run()
        if first:
            say(recipe.results)
            say(f'Report: {recipe.folder / "recipe.md"}, {recipe.folder / recipe.state.FILE}')
    close_process_group()


if __name__ == '__main__':
    main()
