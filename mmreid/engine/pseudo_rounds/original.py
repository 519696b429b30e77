"""The weights that every round of pseudo labels begins with."""

from pathlib import Path
from typing import Any, Dict, List

import torch
from mmengine.dist import is_main_process
from torch import nn

from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from mmreid.utils.weights import state_hash


class OriginalWeights:
    """phi_o of Algorithm 1: all weights but those of the classifiers, kept in memory and in a file.

    Checkpoints of the training name the file and the hash of what is in it (:meth:`reference`), so that they stay small
    and a resumed training cannot begin its rounds with something else.
    """

    FILE = 'original.pth'

    def __init__(self) -> None:
        self.weights: Dict[str, torch.Tensor] = {}
        self.sha256 = ''
        self.path = Path()

    def keep(self, network: nn.Module, folder: str, source: str) -> None:
        """Copy the present weights, and write them.

        Args:
            network (nn.Module): Whose weights these are.
            folder (str): Where the file goes.
            source (str): Where they come from, for the record.
        """
        self.weights = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()
                        if '.classifier.' not in key}
        self.sha256, self.path = state_hash(self.weights), Path(folder).resolve() / self.FILE
        if is_main_process():
            write_checkpoint(dict(state_dict=self.weights, meta=dict(source=source)), self.path)

    def reference(self) -> Dict[str, str]:
        """What a checkpoint says about the weights."""
        return dict(sha256=self.sha256, path=str(self.path))

    def find(self, reference: Dict[str, Any], folder: str) -> None:
        """Read the weights that a checkpoint refers to, from this work directory or the one it was written in.

        Raises:
            CheckpointError: If neither has them.
        """
        places = [Path(folder).resolve() / self.FILE, Path(reference['path'])]
        passed: List[str] = []
        for path in dict.fromkeys(places):
            if not path.is_file():
                passed.append(f'{path} does not exist')
                continue
            weights = read_checkpoint(path)['state_dict']
            if state_hash(weights) == reference['sha256']:
                self.weights, self.sha256, self.path = weights, reference['sha256'], path
                return
            passed.append(f'{path} has another hash')
        raise CheckpointError(f'the original weights of this training, with which every round begins, are not there: '
                              f'{"; ".join(passed)}. Copy {self.FILE} of its work directory to '
                              f'{Path(folder).resolve()}, or start anew in another work_dir.')

    def restore(self, network: nn.Module) -> None:
        """Put the weights back; the classifiers are left alone."""
        network.load_state_dict(self.weights, strict=False)
