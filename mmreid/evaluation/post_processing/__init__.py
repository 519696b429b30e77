"""What happens to features between extraction and ranking: one class a step, in a list in the config."""

from .base import FeatureTransform, PostProcessor
from .dictionary_codes import DictionaryCodes
from .drop_junk import DropJunk
from .l2_normalize import L2Normalize
from .multi_query import MultiQuery, pool_multi_query
from .pca import PCA
from .query_expansion import QueryExpansion
from .re_ranking import KReciprocalReRanking

__all__ = [
    'PCA', 'DictionaryCodes', 'DropJunk', 'FeatureTransform', 'KReciprocalReRanking', 'L2Normalize', 'MultiQuery',
    'PostProcessor', 'QueryExpansion', 'pool_multi_query'
]
