"""How every training runs: runner, hooks, log, randomness."""

default_scope = 'mmreid'
runner_type = 'ReIDRunner'

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffers=dict(type='SyncBuffersHook'),  # batch-norm statistics, averaged over the processes
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='SafeCheckpointHook', interval=1, max_keep_ckpts=3, save_best='auto', rule='greater'),
    invalid_loss=dict(type='InvalidLossHook', interval=50),
    progress=dict(type='FeatureProgressHook'),
    extraction_cost=dict(type='ExtractionCostHook'))

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # Seconds that processes wait for each other: some work, such as clustering and ranking, only the first one does.
    dist_cfg=dict(backend='nccl', timeout=7200),
    # CPU only: MiB of freed activations that the process keeps for its next step. 0 leaves the allocator alone.
    keep_freed_memory_mb=1024)

log_processor = dict(window_size=20)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)

# What tools/test.py --tta NAME wraps the model in. enlarge: every Resize of the test pipeline is enlarged so much, and
# the crops have the size it had.
tta = dict(
    flip=dict(model=dict(type='ReIDTTAModel', views='flip')),
    ten_crop=dict(model=dict(type='ReIDTTAModel', views='ten_crop'), enlarge=1.125))
