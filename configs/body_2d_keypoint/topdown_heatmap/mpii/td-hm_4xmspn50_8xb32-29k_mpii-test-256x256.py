# Test on MPII's test set: writes the pred_keypoints_mpii.mat file to submit. It needs a file that is written once by
#   python tools/submission.py mpii-people MPII/annotations/mpii_human_pose_v1_u12_1.mat MPII/annotations/mpii_test.json
_base_ = './td-hm_4xmspn50_8xb32-29k_mpii-256x256.py'

# Shifts by half a cell in each direction, so that the views sample between cells. The published shifts are not known.
model = dict(test_cfg=dict(shift_test=[(0, 0), (-2, 0), (2, 0), (0, -2), (0, 2)]))
test_dataloader = dict(dataset=dict(ann_file='annotations/mpii_test.json', headbox_file=None))
test_evaluator = dict(
    _delete_=True,
    type='mmpose_mspn.MpiiSubmission',
    release_file=_base_.release_file,
    outfile='work_dirs/mpii-test/pred_keypoints_mpii.mat')
