"""A check of the file of keypoints that the COCO evaluation server takes."""
from typing import List

from mmpose_mspn.data_check.coco import check_entries
from mmpose_mspn.data_check.problems import Check, Problem, check_json
from mmpose_mspn.utils.arguments import truncate
from mmpose_mspn.utils.numbers import is_finite, is_id

COCO_NUMBERS = 51
"""x, y and score of 17 keypoints."""


def check_coco_submission(result_file: str, ann_file: str) -> Check[List[int]]:
    """Check a COCO keypoint result, as ``CocoMetric(format_only=True, outfile_prefix=…)`` writes it.

    Args:
        result_file: JSON list of results.
        ann_file: ``image_info_test-dev2017.json``, or any COCO file that lists the images.

    Returns:
        Ids of the images without a result. They are not a problem: the detector may have found no person there.
    """
    results, content = (yield from check_json(result_file)), (yield from check_json(ann_file))
    if results is None or content is None:
        return []
    if not isinstance(results, list):
        yield Problem('unreadable file', f'{result_file}: not a list of results')
        return []
    entries = yield from check_entries(content, 'images', ('id', ), 'image', ann_file)
    images = {image['id'] for image in entries if is_id(image['id'])}
    with_result = set()
    for index, result in enumerate(results):
        name = f'result {index} of {result_file}'
        missing = [field for field in ('image_id', 'category_id', 'keypoints', 'score')
                   if not isinstance(result, dict) or field not in result]
        if missing:
            yield Problem('incomplete entry', f'{name}: no {", ".join(missing)}')
            continue
        if not is_id(result['image_id']) or result['image_id'] not in images:
            yield Problem('result in an unknown image', f'{name}: image {truncate(result["image_id"])}')
        else:
            with_result.add(result['image_id'])
        if result['category_id'] != 1:
            yield Problem('result of another category', f'{name}: category_id {truncate(result["category_id"])}')
        keypoints = result['keypoints']
        if not isinstance(keypoints, list) or len(keypoints) != COCO_NUMBERS:
            number = len(keypoints) if isinstance(keypoints, list) else truncate(keypoints)
            yield Problem('wrong number of keypoints', f'{name}: {number} values, not {COCO_NUMBERS}')
        if not is_finite(*(keypoints if isinstance(keypoints, list) else ()), result['score']):
            yield Problem('result that is not finite', name)
    return sorted(images - with_result)
