"""The demo: train a small MSPN on synthetic people, evaluate it and draw its predictions."""
import os.path as osp
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import matplotlib
import mmcv
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.registry import DATASETS as MMPOSE_DATASETS
from mmpose.structures import PoseDataSample
from torch import nn

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.diagnosis import check_report_folder, explain
from mmpose_mspn.apis.drawing import KEYPOINT_THRESHOLD
from mmpose_mspn.apis.options import use_amp
from mmpose_mspn.apis.run_check import build_runner, check_run
from mmpose_mspn.diagnosis.report import find_logs
from mmpose_mspn.engine.optim_wrappers import computes_in_bf16
from mmpose_mspn.utils.config_types import type_name
from mmpose_mspn.utils.files import prepare_output_folder
from mmpose_mspn.utils.outputs import check_outputs, record_output, refuse_empty, write_json_output

SYNTHETIC_ROOT = 'data/synthetic/'
"""``data_root`` of the demo's configs."""


class Stopwatch:
    """Measures the wall-clock seconds of named parts of a program, in ``seconds``."""

    def __init__(self) -> None:
        self.seconds: Dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        print_log(f'demo: {part}', 'current')
        start = time.perf_counter()
        yield
        self.seconds[part] = round(time.perf_counter() - start, 1)


def train_in_bf16(cfg: Config) -> None:
    """Train under bf16 autocast on a CPU that computes in bf16, where it takes less time.

    A config that has chosen another optimizer wrapper than the plain one stays as it is.
    """
    plain = type_name(cfg.optim_wrapper) in ('', 'OptimWrapper')
    if plain and not torch.cuda.is_available() and computes_in_bf16():
        use_amp(cfg)


def training_precision(runner: Runner) -> str:
    """The type in which a runner's optimizer wrapper lets matrices be multiplied, such as ``'bfloat16'``."""
    device = next(runner.model.parameters()).device
    with torch.no_grad(), runner.optim_wrapper.optim_context(runner.model):
        product = torch.ones(1, 1, device=device) @ torch.ones(1, 1, device=device)
    return str(product.dtype).split('.')[-1]


def draw_missing_people(cfg: Config) -> None:
    """Draw the synthetic people where the demo's configs read them, if they are not there."""
    from mmpose_mspn.synthetic_people import generate  # here, since nothing else of this module draws
    annotations = Path(SYNTHETIC_ROOT, cfg.train_dataloader.dataset.ann_file)
    if cfg.data_root == SYNTHETIC_ROOT and not annotations.exists():
        generate(SYNTHETIC_ROOT)


def run_demo(config: str, work_dir: str) -> dict:
    """Generate the data, train, evaluate on the held-out images and draw predictions.

    The training is in bf16 where :func:`train_in_bf16` says so.

    Args:
        config: Config file. Its data are generated if they are the synthetic people.
        work_dir: Folder for ``results.json``, ``predictions.png``, ``report/index.html``, the log and the checkpoint.

    Returns:
        The content of ``results.json``: the ``metrics``, the ``seconds`` of each part, and the config, data, torch
        version and number of threads that they belong to, and the ``precision`` of :func:`training_precision`.
    """
    matplotlib.use('Agg')  # works without a screen
    watch = Stopwatch()
    cfg = load_config(config)
    refuse_empty('--work-dir', work_dir)
    prepare_output_folder('--work-dir', work_dir)
    results_file, picture = osp.join(work_dir, 'results.json'), osp.join(work_dir, 'predictions.png')
    check_outputs('--work-dir', [results_file, picture], 'demo')
    check_report_folder('--work-dir', osp.join(work_dir, 'report'))
    cfg.work_dir = work_dir
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None  # evaluated once, after the training
    check_run(cfg, ('train', 'test'))
    train_in_bf16(cfg)
    with watch('data'):
        draw_missing_people(cfg)
    with watch('training'):
        runner = build_runner(cfg, 'train')
        runner.train()
    with watch('evaluation'):
        metrics = runner.test()
    with watch('picture'):
        draw_demo(runner.model, cfg, picture)
        record_output(picture, 'demo', picture)
        explain(cfg, osp.join(work_dir, 'report'), runner.model.eval(), names=dict(config=config),
                logs=find_logs(work_dir))
    results = dict(
        metrics={name: float(value) for name, value in metrics.items()},
        seconds=dict(watch.seconds, total=round(sum(watch.seconds.values()), 1)),
        config=config,
        trained_on=cfg.train_dataloader.dataset.ann_file,
        measured_on=cfg.test_dataloader.dataset.ann_file,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        precision=training_precision(runner))
    write_json_output(results_file, results, 'demo', indent=2)
    return results


IMAGES = 4
"""Number of images in the picture, each with all its people."""


def draw_demo(model: nn.Module, cfg: Config, path: str) -> None:
    """Write the picture.

    Args:
        model: A trained pose estimator with :class:`~mmpose_mspn.models.MSPNHead`.
        cfg: Its config. The people are those of the annotations of ``test_dataloader``.
    """
    people = _people(cfg)
    by_image: dict = {}
    for index in range(len(people)):
        by_image.setdefault(people.get_data_info(index)['img_path'], []).append(index)
    model.eval()
    chosen = sorted(by_image.items(), key=lambda item: (-min(len(item[1]), 3), item[0]))[:IMAGES]
    stages, units = model.head.num_stages, model.head.num_units

    figure = Figure(figsize=(3.6 * IMAGES, 6.4 + 2.6 * stages), layout='constrained')
    above, below = figure.subfigures(2, 1, height_ratios=[6, 2.6 * stages])
    above.suptitle('held-out images: true skeletons above, predicted below')
    for axis, (image_path, indices) in zip(above.subplots(2, IMAGES).T, chosen):
        samples = [_predict(model, people[index]) for index in indices]
        for row, (truth, name) in enumerate(((True, 'true'), (False, 'predicted'))):
            axis[row].imshow(_skeletons(people, image_path, samples, truth))
            axis[row].set_title(name, fontsize=9)
            axis[row].axis('off')

    largest = max(range(len(people)), key=lambda index: float(people.get_data_info(index)['area']))
    below.suptitle('one person: maximum over the joints of the heatmaps of each stage and unit, and of their targets')
    axes = below.subplots(stages, 2 * units + 1, squeeze=False)
    crop, heatmaps, targets = _heatmaps(model, people[largest])
    for stage in range(stages):
        axes[stage, 0].imshow(crop)
        axes[stage, 0].set_title(f'stage {stage}', fontsize=9)
        for unit in range(units):
            level = model.head.loss_module.level(stage, unit, stages)
            kernel = model.head.decoder.kernel_sizes[level]
            for column, maps, name in ((1 + unit, heatmaps[stage][unit], f'unit {unit}'),
                                       (1 + units + unit, targets[level], f'target, kernel {kernel}')):
                axes[stage, column].imshow(maps.amax(0), vmin=0, vmax=255)
                axes[stage, column].set_title(name, fontsize=9)
    for axis in axes.flat:
        axis.axis('off')
    figure.savefig(path, dpi=110)


def _people(cfg: Config):
    """Build the test dataset with annotated boxes and labels, and with the crops of the test protocol."""
    settings = cfg.test_dataloader.dataset.copy()
    settings.update(bbox_file=None, test_mode=False)
    pipeline = list(settings.pipeline)
    encoder = cfg.model.head.decoder
    settings.pipeline = [*pipeline[:-1], dict(type='GenerateTarget', encoder=encoder), pipeline[-1]]
    return MMPOSE_DATASETS.build(settings)


def _predict(model: nn.Module, item: dict) -> PoseDataSample:
    with torch.no_grad():
        return model.test_step(pseudo_collate([item]))[0]


def _skeletons(people, image_path: str, samples: List[PoseDataSample], truth: bool) -> np.ndarray:
    from mmpose.visualization import PoseLocalVisualizer  # its import takes seconds
    image = mmcv.imread(image_path, channel_order='rgb')
    visualizer = PoseLocalVisualizer(name=f'demo-{osp.basename(image_path)}-{truth}', radius=2, line_width=1)
    visualizer.set_dataset_meta(people.metainfo)
    drawn = PoseDataSample()
    source = [sample.gt_instances if truth else sample.pred_instances for sample in samples]
    keypoints = np.concatenate([instances.keypoints for instances in source])
    # Unlabeled joints and predictions with low scores are not drawn.
    if truth:
        visible = np.concatenate([instances.keypoints_visible for instances in source]) > 0
    else:
        visible = np.concatenate([instances.keypoint_scores for instances in source]) > KEYPOINT_THRESHOLD
    drawn.pred_instances = InstanceData(
        keypoints=keypoints, keypoint_scores=visible.astype(np.float32), keypoints_visible=visible.astype(np.float32))
    return visualizer.add_datasample('demo', image, drawn, draw_gt=False, draw_bbox=False, kpt_thr=0.5)


def _heatmaps(model: nn.Module, item: dict) -> Tuple[np.ndarray, list, torch.Tensor]:
    """Return the crop (h, w, 3) RGB, heatmaps [stage][unit] (K, H, W) and targets (L, K, H, W) of a person."""
    labels = item['data_samples'].gt_instance_labels
    with torch.no_grad():
        data = model.data_preprocessor(pseudo_collate([item]), False)
        outputs = model.head(model.extract_feat(data['inputs']))
        targets = model.head.decoder.render(labels.keypoint_labels, labels.keypoints_visible)[0]
    crop = item['inputs'].numpy().transpose(1, 2, 0)[..., ::-1]
    return crop, [[unit[0].cpu() for unit in stage] for stage in outputs], targets
