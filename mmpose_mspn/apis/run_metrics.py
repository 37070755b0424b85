"""Checks of what a training measures and keeps, before the first validation, which may come after hours."""
from typing import Iterator, List

from mmengine.config import Config

from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.config_types import type_name

PREFIXES = dict(CocoMetric='coco', CocoWholeBodyMetric='coco-wholebody')
"""Default prefixes of COCO's metrics, by the class without scope."""
COCO_NAMES = ('AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)')
CROWD_NAMES = ('AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75', 'AP(E)', 'AP(M)', 'AP(H)')
"""What COCO's metrics measure, and what they do with ``iou_type='keypoints_crowd'``."""
AUTO = 'auto'
"""mmengine's word for the first metric."""


def check_best(cfg: Config, evaluators: List[dict]) -> None:
    """Check that ``default_hooks.checkpoint.save_best`` is a metric of the validation.

    Args:
        cfg: The config.
        evaluators: Its metrics. Where one of them is none of COCO's, its names are not known and nothing is checked.

    Raises:
        ValueError: It is not.
    """
    given = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')
    kinds = [type_name(metric) for metric in evaluators]
    if not given or not kinds or not set(kinds) <= set(PREFIXES):
        return
    known = [name for kind, metric in zip(kinds, evaluators) for name in _names(kind, metric)]
    for name in [given] if isinstance(given, str) else given:
        if name != AUTO and name not in known:
            raise ValueError(f'default_hooks.checkpoint.save_best is {name!r}, which val_evaluator does not measure'
                             f'{near_matches(str(name), known)}')


def _names(kind: str, metric: dict) -> Iterator[str]:
    names = CROWD_NAMES if metric.get('iou_type') == 'keypoints_crowd' else COCO_NAMES
    return (f'{metric.get("prefix") or PREFIXES[kind]}/{name}' for name in names)
