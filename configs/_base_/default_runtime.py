# mmpose's runtime, and hooks for crashes (checkpoints are written whole), interruptions (resuming is exact), weights of
# other keypoints (load_from carries them over by name), losses that turn NaN (the run stops before they reach the
# weights) and checkpoints of other models (they are refused).
default_scope = 'mmpose'
# mmpose's own tools import this package as they read the config, before mmpose. custom_imports of another config
# replace these, so they name this package too.
custom_imports = dict(imports=['mmpose_mspn'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmpose_mspn.AtomicCheckpointHook', interval=10),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='PoseVisualizationHook', enable=False),
    badcase=dict(type='BadCaseAnalysisHook', enable=False, out_dir='badcase', metric_type='loss', badcase_thr=5))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='mmpose_mspn.ResumableDataHook'),
    dict(type='mmpose_mspn.TransferKeypointsHook'),
    dict(type='mmpose_mspn.NonFiniteLossHook'),
    dict(type='mmpose_mspn.CheckpointFitHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='PoseLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True, num_digits=6)
log_level = 'INFO'
load_from = None
resume = False
backend_args = dict(backend='local')

train_cfg = dict(by_epoch=True)
val_cfg = dict()
test_cfg = dict()
