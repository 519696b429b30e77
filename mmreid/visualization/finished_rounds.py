"""Drawing the rounds of pseudo labels when a training has ended."""

import logging
from pathlib import Path
from typing import Union

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmreid.engine.pseudo_rounds import RoundRecords

from .rounds_plot import draw_rounds, read_rounds


def draw_finished_rounds(work_dir: Union[str, Path], stages: bool = False) -> None:
    """Draw ``rounds.png`` where a training was one with pseudo labels; whatever goes wrong is only a warning.

    Args:
        work_dir (str | Path): Of the training, or of a recipe.
        stages (bool): Look into the folders below, those of the stages of a recipe, instead. Defaults to False.
    """
    if not is_main_process():
        return
    for records in sorted(Path(work_dir).glob(f'*/{RoundRecords.FILE}' if stages else RoundRecords.FILE)):
        folder = records.parent
        try:
            path = folder / 'rounds.png'
            draw_rounds({folder.resolve().name: read_rounds(folder)}, path)
            print_log(f'Drawn over the rounds: {path}', 'current')
        except Exception as error:  # a training that is finished must not end with an error
            print_log(f'The rounds were not drawn: {type(error).__name__}: {error}. python '
                      f'tools/visualization/plot_rounds.py {folder} does it later.', 'current', logging.WARNING)
