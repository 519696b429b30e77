"""Evaluation: protocols, post-processing, ranking and metrics."""

from mmreid.utils.k_reciprocal import k_reciprocal_rerank

from .feature_files import FeatureFileError, read_features, read_image_features, write_arrays, write_features
from .functional import (
                         PROTOCOLS,
                         Draws,
                         Protocol,
                         ProtocolResult,
                         evaluate_distances,
                         evaluate_protocols,
                         evaluate_ranking,
                         get_protocol,
)
from .metrics import FeatureDump, FeatureMetric, ReIDMetric
from .post_processing import (
                         PCA,
                         DictionaryCodes,
                         DropJunk,
                         FeatureTransform,
                         KReciprocalReRanking,
                         L2Normalize,
                         MultiQuery,
                         PostProcessor,
                         QueryExpansion,
                         pool_multi_query,
)
from .report import RetrievalReport
from .retrieval import evaluate_retrieval
from .retrieval_data import Features, RetrievalData

__all__ = [
    'PCA', 'PROTOCOLS', 'DictionaryCodes', 'Draws', 'DropJunk', 'FeatureDump', 'FeatureFileError', 'FeatureMetric',
    'FeatureTransform', 'Features', 'KReciprocalReRanking', 'L2Normalize', 'MultiQuery', 'PostProcessor', 'Protocol',
    'ProtocolResult', 'QueryExpansion', 'ReIDMetric', 'RetrievalData', 'RetrievalReport', 'evaluate_distances',
    'evaluate_protocols', 'evaluate_ranking', 'evaluate_retrieval', 'get_protocol', 'k_reciprocal_rerank',
    'pool_multi_query', 'read_features', 'read_image_features', 'write_arrays', 'write_features'
]
