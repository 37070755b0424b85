# lightpose: one stage, Ghost modules for every convolution behind the stem, attention in every bottleneck. It trains
# from scratch, because no ImageNet weights have its shape.
_base_ = './td-hm_4xmspn50_8xb32-29k_mpii-256x256.py'

ghost = dict(type='mmpose_mspn.GhostConv')

model = dict(
    backbone=dict(
        num_stages=1, encoder=dict(type='mmpose_mspn.AttentionResNet'), conv_cfg=ghost, init_cfg=None),
    head=dict(num_stages=1, conv_cfg=ghost))
