"""Registry nodes of mmreid: only a list.

Each node is a child of the mmengine root node of the same name, so mmengine's ``Runner`` finds the components when the
scope is ``mmreid`` (mmengine imports ``mmreid.registry`` by that name). Sibling scopes are not searched: write
``type='mmpretrain.ResNet'`` to use a component of mmpretrain.
"""

from mmengine import registry as root

from mmreid.utils.registry import ReIDRegistry


def _node(name: str, parent: root.Registry, *locations: str) -> ReIDRegistry:
    return ReIDRegistry(name, parent=parent, scope='mmreid', locations=list(locations))


# ---- engine -----------------------------------------------------------------
#: Runners (``runner_type`` of a config)
RUNNERS = _node('runner', root.RUNNERS, 'mmreid.engine')
#: Constructors of runners
RUNNER_CONSTRUCTORS = _node('runner constructor', root.RUNNER_CONSTRUCTORS, 'mmreid.engine')
#: Training, validation and test loops
LOOPS = _node('loop', root.LOOPS, 'mmreid.engine')
#: Hooks
HOOKS = _node('hook', root.HOOKS, 'mmreid.engine')
#: Log processors
LOG_PROCESSORS = _node('log processor', root.LOG_PROCESSORS, 'mmreid.engine')
#: Training strategies of mmengine's flexible runner
STRATEGIES = _node('strategy', root.STRATEGIES, 'mmreid.engine')
#: Optimizers
OPTIMIZERS = _node('optimizer', root.OPTIMIZERS, 'mmreid.engine')
#: Optimizer wrappers
OPTIM_WRAPPERS = _node('optimizer wrapper', root.OPTIM_WRAPPERS, 'mmreid.engine')
#: Constructors of optimizer wrappers
OPTIM_WRAPPER_CONSTRUCTORS = _node('optimizer wrapper constructor', root.OPTIM_WRAPPER_CONSTRUCTORS, 'mmreid.engine')
#: Parameter schedulers
PARAM_SCHEDULERS = _node('parameter scheduler', root.PARAM_SCHEDULERS, 'mmreid.engine')
#: Functions named in configs, such as ``collate_fn`` and ``worker_init_fn``
FUNCTIONS = _node('function', root.FUNCTIONS, 'mmreid.engine')

# ---- data -------------------------------------------------------------------
#: Datasets
DATASETS = _node('dataset', root.DATASETS, 'mmreid.datasets')
#: Samplers
DATA_SAMPLERS = _node('data sampler', root.DATA_SAMPLERS, 'mmreid.datasets')
#: Data transforms
TRANSFORMS = _node('transform', root.TRANSFORMS, 'mmreid.datasets')

# ---- models -----------------------------------------------------------------
#: Embedders, backbones, necks, heads, losses, layers and data preprocessors
MODELS = _node('model', root.MODELS, 'mmreid.models')
#: Model wrappers
MODEL_WRAPPERS = _node('model wrapper', root.MODEL_WRAPPERS, 'mmreid.models')
#: Weight initializers
WEIGHT_INITIALIZERS = _node('weight initializer', root.WEIGHT_INITIALIZERS, 'mmreid.models')
#: Pseudo-labellers, post-processors of features, searches for hyper-parameters and other small parts
TASK_UTILS = _node('task util', root.TASK_UTILS, 'mmreid.models', 'mmreid.pseudo_labels',
                   'mmreid.evaluation', 'mmreid.engine')

# ---- evaluation, visualization, apis ----------------------------------------
#: Metrics
METRICS = _node('metric', root.METRICS, 'mmreid.evaluation')
#: Evaluators
EVALUATOR = _node('evaluator', root.EVALUATOR, 'mmreid.evaluation')
#: Visualizers
VISUALIZERS = _node('visualizer', root.VISUALIZERS, 'mmreid.visualization')
#: Visualization backends
VISBACKENDS = _node('visualization backend', root.VISBACKENDS, 'mmreid.visualization')
#: Inferencers
INFERENCERS = _node('inferencer', root.INFERENCERS, 'mmreid.apis')
