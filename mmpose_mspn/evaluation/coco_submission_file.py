"""The file of keypoints that the COCO evaluation server takes."""
from typing import List

from mmpose_mspn.data_check.report import Report, read_json
from mmpose_mspn.datasets.coco_rules import complete_entries, entries_of
from mmpose_mspn.datasets.problems import shown
from mmpose_mspn.utils.numbers import is_finite, is_id

COCO_NUMBERS = 51
"""x, y and score of 17 keypoints."""


def check_coco_submission(result_file: str, ann_file: str, report: Report) -> List[int]:
    """Check a COCO keypoint result, as ``CocoMetric(format_only=True, outfile_prefix=…)`` writes it.

    Args:
        result_file: JSON list of results.
        ann_file: ``image_info_test-dev2017.json``, or any COCO file that lists the images.
        report: Collects the problems.

    Returns:
        Ids of the images without a result. They are not a problem: the detector may have found no person there.
    """
    results, content = read_json(result_file, report), read_json(ann_file, report)
    if results is None or content is None:
        return []
    if not isinstance(results, list):
        report.add('unreadable file', f'{result_file}: not a list of results')
        return []
    entries = complete_entries(entries_of(content, 'images', ann_file, report.add), ('id', ), f'image of {ann_file}',
                               report.add)
    images = {image['id'] for image in entries if is_id(image['id'])}
    found = set()
    for index, result in enumerate(results):
        name = f'result {index} of {result_file}'
        missing = [field for field in ('image_id', 'category_id', 'keypoints', 'score')
                   if not isinstance(result, dict) or field not in result]
        if missing:
            report.add('incomplete entry', f'{name}: no {", ".join(missing)}')
            continue
        if not is_id(result['image_id']) or result['image_id'] not in images:
            report.add('result in an unknown image', f'{name}: image {shown(result["image_id"])}')
        else:
            found.add(result['image_id'])
        if result['category_id'] != 1:
            report.add('result of another category', f'{name}: category_id {shown(result["category_id"])}')
        keypoints = result['keypoints']
        if not isinstance(keypoints, list) or len(keypoints) != COCO_NUMBERS:
            number = len(keypoints) if isinstance(keypoints, list) else shown(keypoints)
            report.add('wrong number of keypoints', f'{name}: {number} values, not {COCO_NUMBERS}')
        if not is_finite(*(keypoints if isinstance(keypoints, list) else ()), result['score']):
            report.add('result that is not finite', name)
    return sorted(images - found)
