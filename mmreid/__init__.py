"""mmreid: transfer learning for person re-identification."""

from mmreid.utils.opencv import require_opencv
from mmreid.version import __version__

require_opencv()

__all__ = ['__version__']
