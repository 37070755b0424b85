"""The layouts of folders in which the configs expect datasets, and a check of such a folder."""
import os.path as osp
from typing import Dict, List, NamedTuple

from mmpose_mspn.data_check.dataset_files import DatasetFiles, check_files
from mmpose_mspn.data_check.report import Report


class Layout(NamedTuple):
    """A folder's datasets, with paths relative to it."""
    title: str
    datasets: List[DatasetFiles]


COCO_BOXES = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
AIC_IMAGES = 'ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902'
LAYOUTS: Dict[str, Layout] = dict(
    coco=Layout('COCO 2017', [
        DatasetFiles('CocoDataset', 'annotations/person_keypoints_train2017.json', 'train2017'),
        DatasetFiles('CocoDataset', 'annotations/person_keypoints_val2017.json', 'val2017', (COCO_BOXES, )),
    ]),
    wholebody=Layout('COCO 2017 with COCO-WholeBody', [
        DatasetFiles('CocoWholeBodyDataset', 'annotations/coco_wholebody_train_v1.0.json', 'train2017'),
        DatasetFiles('CocoWholeBodyDataset', 'annotations/coco_wholebody_val_v1.0.json', 'val2017', (COCO_BOXES, )),
    ]),
    aic=Layout('AI Challenger', [DatasetFiles('AicDataset', 'annotations/aic_train.json', AIC_IMAGES)]),
    crowdpose=Layout('CrowdPose', [
        DatasetFiles('CrowdPoseDataset', 'annotations/mmpose_crowdpose_trainval.json', 'images'),
        DatasetFiles('CrowdPoseDataset', 'annotations/mmpose_crowdpose_test.json', 'images',
                     ('annotations/det_for_crowd_test_0.1_0.5.json', )),
    ]),
    mpii=Layout('MPII', [
        DatasetFiles('MpiiDataset', 'annotations/mpii_train.json', 'images'),
        DatasetFiles('MpiiDataset', 'annotations/mpii_val.json', 'images', ('annotations/mpii_gt_val.mat', )),
    ]))
"""By name. docs/data.md draws them; the configs' ``data_root`` is the folder."""


def check_folder(layout: str, folder: str, report: Report, **options) -> None:
    """Check the datasets of a folder.

    Args:
        layout: One of :data:`LAYOUTS`.
        folder: The folder.
        report: Collects the problems.
        options: See :func:`mmpose_mspn.data_check.dataset_files.check_files`.
    """
    for files in LAYOUTS[layout].datasets:
        check_files(
            files._replace(
                ann_file=osp.join(folder, files.ann_file),
                image_dir=osp.join(folder, files.image_dir),
                boxes=tuple(osp.join(folder, path) for path in files.boxes)), report, **options)
