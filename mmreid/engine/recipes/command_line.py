"""What the tools that run recipes share: options, and running with a plan before and a report after."""

import argparse
import os
from collections.abc import Callable
from typing import Any, Optional

from mmreid.datasets.image_io import ImageReadError
from mmreid.engine.hooks.pseudo_label_hook import PseudoLabelError
from mmreid.utils.checkpoint import CheckpointError
from mmreid.utils.command_line import plain_errors, say
from mmreid.utils.config import ConfigError
from mmreid.utils.distributed import close_process_group
from mmreid.utils.option_action import OptionAction

from .processes import announced_rank


def add_run_arguments(parser: argparse.ArgumentParser, work_dir: str, resume: str, options: str) -> None:
    """Add the options of a run.

    Args:
        parser (ArgumentParser): Of the tool.
        work_dir (str): Help of ``--work-dir``.
        resume (str): Help of ``--resume``.
        options (str): Help of ``--cfg-options``.
    """
    parser.add_argument('--work-dir', help=work_dir)
    parser.add_argument('--resume', action='store_true', help=resume)
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on CUDA, bfloat16 where that is not supported')
    parser.add_argument('--dry-run', action='store_true', help='check everything, print the plan and stop')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE', help=options)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how processes are started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def carry_out(args: argparse.Namespace, build: Callable[[], Any], report: Callable[[Any], str],
              finish: Optional[Callable[[Any], None]] = None) -> None:
    """Build a run, print its plan, run it unless ``--dry-run``, and print its results; mistakes end in one line.

    Args:
        args (Namespace): Of a parser with :func:`add_run_arguments`.
        build (Callable): Makes the run, which has ``plan``, ``run()`` and ``results``.
        report (Callable): Where the run has written its results, as text.
        finish (Callable, optional): Called with the run when it has ended. Defaults to None.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with plain_errors(ConfigError, CheckpointError, FileNotFoundError, ImageReadError, PseudoLabelError):
        run = build()
        first = announced_rank(args.launcher) == 0
        if first:
            say(run.plan)
        if args.dry_run:
            return
        run.run()
        if finish is not None:
            finish(run)
        if first:
            say(run.results)
            say(f'Report: {report(run)}')
    close_process_group()
