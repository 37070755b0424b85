"""Options of ``infer`` that exclude or need each other.

All functions raise FileNotFoundError or ValueError with the name of the option, its range and what to do.
"""
from pathlib import Path
from typing import Any, Optional, Union

from mmpose_mspn.deploy.accelerate import named_dtype

from .inputs import Video
from .loading import check_file

PathLike = Union[str, Path]


def check_model(config: Optional[PathLike], checkpoint: Optional[PathLike], model: Optional[PathLike]) -> None:
    """Check that either a config and a checkpoint or a model is given, and that the files exist."""
    if model is None:
        if config is None or checkpoint is None:
            raise ValueError('config and checkpoint belong together: give both, or a model that carries its config '
                             '(--model)')
        check_file('config', config)
        check_file('checkpoint', checkpoint)
        return
    if config is not None or checkpoint is not None:
        raise ValueError(f'model {model} takes the place of config and checkpoint: give it alone')
    check_file('model', model)


def check_options(boxes: Optional[PathLike], ann_file: Optional[PathLike], det_config: Optional[PathLike],
                  det_checkpoint: Optional[PathLike], bbox_thr: float, kpt_thr: float, fast: Optional[str],
                  category: Optional[str]) -> None:
    """Check the options that need no file to be read."""
    if fast is not None:
        named_dtype(fast, 'fast')
    if boxes is not None and (det_config is not None or det_checkpoint is not None):
        raise ValueError('boxes and det_config / det_checkpoint exclude each other: give the boxes or a detector')
    if (det_config is None) != (det_checkpoint is None):
        raise ValueError('det_config and det_checkpoint belong together, got '
                         f'det_config={det_config} and det_checkpoint={det_checkpoint}')
    if ann_file is not None and boxes is None:
        raise ValueError(f'ann_file {ann_file} names the images of boxes, but there are no boxes: give boxes or omit '
                         'ann_file')
    if not 0 <= bbox_thr <= 1:
        raise ValueError(f'bbox_thr must be 0 to 1, got {bbox_thr}')
    if not kpt_thr >= 0:
        raise ValueError(f'kpt_thr must be >= 0, got {kpt_thr}')
    if category is not None and boxes is None:
        raise ValueError(f'category {category} chooses among boxes, but there are no boxes: give boxes or omit it')


def refuse_for_videos(video: Video, **options: Any) -> None:
    """Refuse options that are set and do not apply to a video."""
    for name, value in options.items():
        if value:
            raise ValueError(f'{name} is for images, but the source {video.path} is a video: omit {name}')


def check_report(shard: Optional[str], model: Optional[PathLike]) -> None:
    """Check that the report can be written: its packages, and that the run has all images and heatmaps."""
    from mmpose_mspn.diagnosis.report import check_page_packages
    check_page_packages()
    if shard is not None:
        raise ValueError('report shows the people of all images, but shard predicts a part of them: omit one')
    if model is not None and Path(model).suffix.lower() == '.onnx':
        raise ValueError(f'report shows heatmaps, which the exported model {model} does not give: give config and '
                         'checkpoint')
