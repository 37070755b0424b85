# Test on test-dev2017, whose annotations are not public: writes the .keypoints.json file for the evaluation server.
# `python tools/submission.py check-coco` checks that file.
_base_ = './td-hm_4xmspn50_8xb32-96k_coco-384x288.py'

test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/image_info_test-dev2017.json',
        bbox_file='person_detection_results/COCO_test-dev2017_detections_AP_H_609_person.json',
        data_prefix=dict(img='test2017/')))
test_evaluator = dict(format_only=True, outfile_prefix='work_dirs/coco-test-dev/mspn')
