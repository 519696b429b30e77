"""Everything that can be known to be wrong with a recipe before its first stage runs."""

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mmreid.datasets.base import ReIDDataset
from mmreid.datasets.pseudo_labelled import PseudoLabelDataset
from mmreid.models.backbones.pretrained import PREFIX
from mmreid.models.heads.embae_head import UNTOLD
from mmreid.registry import DATASETS, HOOKS, MODELS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, strip_prefix
from mmreid.utils.config import ConfigError
from mmreid.utils.weights import listed

from ..hooks.phase_hook import PhaseHook
from ..runner.encoders import encoder_slots, fill_from_data, untrained_encoders
from ..runner.load_state import in_parts
from ..runner.loops import require_batches
from ..runner.num_classes import class_slots
from ..runner.reid_runner import _CLASSIFIER, ReIDRunner
from .components import rehearsed
from .definition import canonical_text
from .errors import Faults
from .networks import Network, inspect_network, misfits, pretrained_files
from .recipe import Recipe, Stage, is_file_reference
from .stage_config import tied

#: What student and teacher must have in common.
_NORMALISATION = ('mean', 'std', 'bgr_to_rgb')
#: In the name of a weight, the encoder of a head that has not been told which it has.
_UNTOLD = f'.nuisance.{UNTOLD}.'
#: Used where no image tells the size: that of the PTL paper.
_SIZE = (256, 128)


class RecipeChecker:
    """Builds what the stages of a recipe will need, and collects what goes wrong.

    Nothing is downloaded, trained or written. Stages that are finished are not examined; what they wrote is.

    Args:
        recipe (Recipe): The recipe.
        configs (Mapping[str, Config]): Config of every stage; a stage without one is passed over.
        finished (Mapping[str, Path], optional): Checkpoint of every stage that is finished.
        data (bool): Build the datasets, too. Defaults to True.
        world_size (int): How many processes there will be. Defaults to 1.
    """

    def __init__(self, recipe: Recipe, configs: Mapping[str, Config], finished: Optional[Mapping[str, Path]] = None,
                 data: bool = True, world_size: int = 1) -> None:
        self.recipe, self.configs, self.finished, self.data = recipe, configs, finished or {}, data
        self.world_size = world_size
        self._faults = Faults()
        #: One line a stage on the data it trains on.
        self.data_lines: Dict[str, str] = {}
        self._datasets: Dict[str, Any] = {}
        self._networks: Dict[str, Optional[Network]] = {}
        self._inspected: Dict[str, Network] = {}

    def run(self) -> List[str]:
        """Examine every stage that is to be run, and return what is wrong."""
        scope = 'mmreid' if DefaultScope.get_current_instance() is None else None
        with DefaultScope.overwrite_default_scope(scope):
            for stage in self.recipe:
                if stage.name in self.configs and stage.name not in self.finished:
                    self._check(stage, self.configs[stage.name])
        return self._faults.listed()

    def _check(self, stage: Stage, cfg: Config) -> None:
        loader = self._check_data(stage, cfg) if self.data else None
        network = self._network(stage.name)
        if network is not None:
            self._check_image_sizes(stage, cfg, network)
        for what, build in rehearsed(cfg, network and network.module, loader):
            with self._noting(stage, what):
                build()
        self._check_files(stage, cfg)
        if stage.init_from is not None and not self._leads_nowhere(stage.init_from):
            self._check_init(stage, network)
        self._check_teacher(stage, cfg, network)

    def _check_files(self, stage: Stage, cfg: Config) -> None:
        for key in ('init_from', 'teacher_from'):
            file = getattr(stage, key)
            if file is not None and is_file_reference(file) and not Path(file).is_file():
                self._faults.add(stage.name, f'{key}: {file} does not exist (a relative path is looked for beside the '
                                             'recipe, beside those it inherits from and in the current folder)')
        replaced = () if stage.init_from is None else stage.carry
        for module, file in pretrained_files(cfg.get('model')):
            needed = replaced is not None and not in_parts(module, replaced)
            if needed and not Path(file).expanduser().is_file():
                self._faults.add(stage.name, f'init_cfg of model.{module}: {file} does not exist; it must be a file or '
                                             f'{PREFIX}NAME')

    # ---- data -------------------------------------------------------------------------------------------------------

    def _check_data(self, stage: Stage, cfg: Config) -> Optional[DataLoader]:
        """Build the data of all splits; the loader of the training is returned."""
        loader = None
        for split in ('train', 'val', 'test'):
            given = cfg.get(f'{split}_dataloader')
            with self._noting(stage, f'its {split} data'):
                if given and split == 'train':
                    loader = self._train_loader(stage, given)
                elif given:
                    self._dataset(given['dataset'])
        return loader

    def _train_loader(self, stage: Stage, cfg: Mapping[str, Any]) -> DataLoader:
        dataset = self._dataset(cfg['dataset'])
        summary = dataset.summary() if hasattr(dataset, 'summary') else f'{len(dataset):,} images'
        self.data_lines[stage.name] = summary.split('\n')[0]
        parts = {key: copy.deepcopy(value) for key, value in cfg.items() if key != 'dataset'}
        loader = ReIDRunner.build_dataloader(dict(parts, dataset=dataset, num_workers=0), seed=0)
        sampler = loader.batch_sampler.sampler
        if hasattr(sampler, 'world_size'):  # the processes have not met yet, so it believes to be alone
            sampler.world_size = self.world_size
        require_batches(loader, self.world_size)
        if not _is_yet_to_be_labelled(dataset):
            next(iter(sampler), None)  # some find out only now that there are too few identities
        return loader

    def _dataset(self, cfg: Mapping[str, Any]) -> Any:
        """A dataset, read but not decoded; equal configs share one."""
        key = canonical_text(cfg)
        if key not in self._datasets:
            dataset = DATASETS.build(_without_cache(copy.deepcopy(dict(cfg))))
            if hasattr(dataset, 'full_init'):
                dataset.full_init()
            dataset[0]  # the pipeline works, and the first image can be read
            self._datasets[key] = dataset
        return self._datasets[key]

    def _known_dataset(self, cfg: Config, split: str = 'train') -> Optional[Any]:
        loader = cfg.get(f'{split}_dataloader')
        return self._datasets.get(canonical_text(loader.dataset)) if loader else None

    def _image_size(self, cfg: Config, split: str = 'train') -> Optional[Tuple[int, int]]:
        """Height and width of the images of a split; None where that is not known."""
        dataset = self._known_dataset(cfg, split)
        shape = getattr(dataset[0].get('inputs'), 'shape', None) if dataset is not None else None
        return None if shape is None else tuple(shape[-2:])

    def _check_image_sizes(self, stage: Stage, cfg: Config, network: Network) -> None:
        trained = self._image_size(cfg)
        for split in ('val', 'test'):
            size = self._image_size(cfg, split)
            if size not in (None, trained):
                with self._noting(stage, f'its {split} images of {size[0]} x {size[1]}'):
                    network.follow(size)

    # ---- networks ---------------------------------------------------------------------------------------------------

    def _network(self, name: str) -> Optional[Network]:
        """The network of a stage; None if it cannot be built, which is noted once."""
        if name not in self._networks:
            self._networks[name] = None
            stage, cfg = self.recipe.stages[name], self.configs.get(name)
            if cfg is None or not cfg.get('model'):
                return None
            with self._noting(stage, 'its model'):
                dataset = self._known_dataset(cfg)
                model = _with_classes(cfg.model.to_dict(), getattr(dataset, 'metainfo', {}).get('num_classes'))
                for slot in encoder_slots(model) if dataset is not None else ():
                    fill_from_data(slot, dataset)
                size = self._image_size(cfg) or _SIZE
                key = canonical_text([model, size])
                if key not in self._inspected:
                    self._inspected[key] = inspect_network(model, size)
                self._networks[name] = self._inspected[key]
        return self._networks[name]

    def _leads_nowhere(self, reference: str) -> bool:
        """Whether a reference is neither a stage nor a file, which is found elsewhere."""
        return reference not in self.recipe.stages and not Path(reference).is_file()

    def _check_init(self, stage: Stage, network: Optional[Network]) -> None:
        with self._noting(stage, f'init_from {stage.init_from}'):
            given, identities = self._weights_of(stage.init_from)
            if network is None or given is None:
                return
            own = network.module.state_dict()
            told = not any(_UNTOLD in key for key in (*own, *given))
            found = misfits(own, given, stage.carry) if told else misfits(
                _with_one_encoder(own), _with_one_encoder(given), stage.carry)
            if found:
                raise ValueError(f'the parts that are carried do not fit:\n{listed(found)}')
            if told:
                self._check_encoders(stage, network, own, given)
            ours = self._identities(self.configs[stage.name])
            named = [key for key in own if _CLASSIFIER.search(key) and in_parts(key, stage.carry or ())]
            if named and None not in (ours, identities) and ours != identities:
                raise ValueError(f'{named[0]} is a classifier of other people than those this stage trains on; leave '
                                 'it out of carry')

    def _check_encoders(self, stage: Stage, network: Network, own: Mapping[str, torch.Tensor],
                        given: Mapping[str, torch.Tensor]) -> None:
        """Refuse nuisance encoders that would be new and never be trained."""
        taken = {key for key, value in own.items() if (stage.carry is None or in_parts(key, stage.carry))
                 and key in given and given[key].shape == value.shape}
        hooks = [hook for hook in self.configs[stage.name].get('custom_hooks') or () if isinstance(hook, dict)]
        phases = [HOOKS.build(copy.deepcopy(hook)) for hook in hooks if hook['type'] in ('PhaseHook', PhaseHook)]
        problem = untrained_encoders(network.module, taken, phases)
        if problem is not None:
            raise ValueError(problem)

    def _weights_of(self, reference: str) -> Tuple[Optional[Mapping[str, torch.Tensor]], Optional[str]]:
        """Weights of a stage or file (those of a stage that has not run have no values), and who its classes are."""
        if reference in self.finished or reference not in self.recipe.stages:
            checkpoint = read_checkpoint(self.finished.get(reference, reference))
            meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
            return strip_prefix(checkpoint['state_dict'], 'module.'), meta.get('identities')
        network = self._network(reference)
        cfg = self.configs.get(reference)
        return (network and network.module.state_dict()), (cfg and self._identities(cfg))

    def _identities(self, cfg: Config) -> Optional[str]:
        return getattr(self._known_dataset(cfg), 'metainfo', {}).get('identities')

    def _check_teacher(self, stage: Stage, cfg: Config, network: Optional[Network]) -> None:
        model = cfg.get('model') or {}
        learns = 'teacher' in model or model.get('type') == 'DistillationNet'
        if stage.teacher_from is None:
            if learns and model.get('lambda_l1') != 0:
                self._faults.add(stage.name, 'its config distils a teacher; say which one with teacher_from')
        elif not learns:
            self._faults.add(stage.name, f'teacher_from is given, but its network is a {model.get("type")}, which has '
                                         'no teacher; use a config whose model is a DistillationNet')
        elif (model.get('teacher') or {}).get('checkpoint'):
            self._faults.add(stage.name, 'model.teacher.checkpoint is not for a config in a recipe; use teacher_from '
                                         'of the stage')
        elif network is not None and not self._leads_nowhere(stage.teacher_from):
            with self._noting(stage, f'teacher_from {stage.teacher_from}'):
                self._compare_with_teacher(stage, cfg, network)

    def _compare_with_teacher(self, stage: Stage, cfg: Config, network: Network) -> None:
        student = network.feature_length
        if stage.teacher_from in self.recipe.stages:
            taught_by = self._network(stage.teacher_from)
            if taught_by is None:
                return
            teacher = taught_by.feature_length
            theirs, ours = (
                {key: (self.configs[name].model.get('data_preprocessor') or {}).get(key) for key in _NORMALISATION}
                for name in (stage.teacher_from, stage.name))
            if theirs != ours:
                raise ValueError(f'student and teacher get the same images; the teacher prepares them with {theirs}, '
                                 f'the student with {ours}')
        else:
            teacher = self._feature_length_of_file(stage, cfg)
        if None not in (student, teacher) and student != teacher:
            raise ValueError(f'the feature of the teacher has {teacher} numbers and that of the student {student}; '
                             'they must have equally many')

    def _feature_length_of_file(self, stage: Stage, cfg: Config) -> int:
        """Load a teacher as training will, and ask it for a feature of an image of the right size."""
        model = _with_classes(tied(cfg, stage, teacher=stage.teacher_from).model.to_dict(), None)
        net = MODELS.build(model)
        net.prepare_training()
        return int(net.teacher.features(torch.zeros(1, 3, *(self._image_size(cfg) or _SIZE))).shape[1])

    # ---- details ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _noting(self, stage: Stage, what: str) -> Iterator[None]:
        """Note what the block raises; building what a user describes can raise anything."""
        try:
            yield
        except Exception as error:
            plain = isinstance(error, (CheckpointError, ConfigError, FileNotFoundError, ValueError))
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            text = f'{text}' if plain else f'{type(error).__name__}: {text}'
            missing = isinstance(error, FileNotFoundError)
            self._faults.add(stage.name, text, what, key=text.split('\n')[0] if missing else text)


def _is_yet_to_be_labelled(dataset: Any) -> bool:
    """Whether classes come only with the first round, so that nothing can be drawn by them before."""
    return isinstance(dataset, PseudoLabelDataset) and not (dataset.get_labels() >= 0).any()


def _with_one_encoder(state: Mapping[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
    """Weights with all nuisance encoders of a head as one: where the data are not known, their keys are not."""
    return {re.sub(r'\.nuisance\.[^.]+\.', _UNTOLD, key): value for key, value in state.items()}


def _without_cache(cfg: Any) -> Any:
    """The config of a dataset, and of those inside it, that decodes no image in advance."""
    if isinstance(cfg, dict):
        cfg = {key: _without_cache(value) for key, value in cfg.items()}
        kind = cfg.get('type')
        if isinstance(kind, str) and kind in DATASETS and issubclass(DATASETS.get(kind), ReIDDataset):
            cfg['cache'] = False
        return cfg
    return [_without_cache(item) for item in cfg] if isinstance(cfg, (list, tuple)) else cfg


def _with_classes(model: Dict[str, Any], number: Optional[int]) -> Dict[str, Any]:
    """Fill in the number of classes, in place; two where the data do not tell."""
    for slot in class_slots(model):
        if slot['num_classes'] is not None and number is not None and slot['num_classes'] != number:
            raise ValueError(f'num_classes={slot["num_classes"]}, and the training data have {number} identities; '
                             'leave it None to have it filled in')
        slot['num_classes'] = slot['num_classes'] or number or 2
    return model
