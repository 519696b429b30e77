"""A registry that answers an unknown name with the names that were probably meant."""

import difflib
from typing import List, Optional

from mmengine.registry import Registry


class ReIDRegistry(Registry):
    """Registry whose look-up of an unknown name raises an error that lists the near matches.

    mmengine's own registry answers either ``None`` or ``RuntimeError: Failed to get X``, neither of which helps with a
    misspelt ``type`` in a config.
    """

    def get(self, key: str) -> type:
        """Look up a registered class or function.

        Args:
            key (str): Name, optionally with a scope: ``'PKSampler'``, ``'mmpretrain.ResNet'``.

        Raises:
            KeyError: If nothing is registered under ``key``; the message lists near matches and where to register.
        """
        found = self._find(key)
        if found is None:
            raise KeyError(self._unknown_message(key))
        return found

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def known_names(self) -> List[str]:
        """Sorted names that can be built from this node: its own and its ancestors'."""
        self.import_from_location()
        names, node = set(), self
        while node is not None:
            names.update(node.module_dict)
            node = node.parent
        return sorted(names)

    def _find(self, key: str) -> Optional[type]:
        try:
            return super().get(key)
        except RuntimeError as error:
            if 'Failed to get' not in str(error):
                raise
            return None

    def _unknown_message(self, key: str) -> str:
        known = self.known_names()
        folded = {name.lower(): name for name in known}
        close = difflib.get_close_matches(key.split('.')[-1].lower(), folded, n=5, cutoff=0.6)
        hint = ', '.join(folded[name] for name in close) or 'none'
        return (f'"{key}" is not registered as a {self.name} of {self.scope}. Near matches: {hint}. '
                f'Register a component of your own in this registry (register_module) and name its module in '
                f'`custom_imports` of the config; a component of another OpenMMLab package needs its scope, as in '
                f'"mmpretrain.{key}". {len(known)} names are known here.')
