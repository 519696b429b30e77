"""The registry: every root node has a child here, and a misspelt name is answered with the right one."""

import mmengine.registry
import pytest
from mmengine.registry import DefaultScope

import mmreid.registry
from mmreid.utils.registry import ReIDRegistry


def test_every_root_node_of_mmengine_has_a_child():
    roots = {name for name, node in vars(mmengine.registry).items() if isinstance(node, mmengine.registry.Registry)}
    ours = {name: node for name, node in vars(mmreid.registry).items() if isinstance(node, ReIDRegistry)}
    assert roots == set(ours)
    for name, node in ours.items():
        assert node.scope == 'mmreid' and node.parent is getattr(mmengine.registry, name)


def test_unknown_type_lists_near_matches():
    with pytest.raises(KeyError, match='"PKSamplr" is not registered as a data sampler.*Near matches: PKSampler'):
        mmreid.registry.DATA_SAMPLERS.build(dict(type='PKSamplr'))


def test_unknown_type_through_the_root_registry_too():
    """mmengine's Runner builds through the root node with the scope of the config."""
    with DefaultScope.overwrite_default_scope('mmreid'):
        with pytest.raises(KeyError, match='Near matches: EmbeddingNet'):
            mmengine.registry.MODELS.build(dict(type='EmbedingNet'))


def test_membership_asks_without_raising():
    assert 'PKSampler' in mmreid.registry.DATA_SAMPLERS
    assert 'NoSuchSampler' not in mmreid.registry.DATA_SAMPLERS


def test_parents_and_siblings_are_reachable():
    assert mmreid.registry.HOOKS.get('LoggerHook').__name__ == 'LoggerHook'
    assert mmreid.registry.MODELS.get('mmpretrain.ResNet').__module__.startswith('mmpretrain')
    with pytest.raises(KeyError, match='mmpretrain.ResNett'):
        mmreid.registry.MODELS.get('mmpretrain.ResNett')
