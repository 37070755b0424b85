"""The demo: train a small MSPN on synthetic people, evaluate it and draw its predictions."""
import os.path as osp
import time
from contextlib import contextmanager
from typing import Dict, Iterator

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpose_mspn.apis.config import ensure_synthetic, load_config
from mmpose_mspn.apis.diagnosis import explain
from mmpose_mspn.apis.options import use_amp
from mmpose_mspn.apis.pictures import draw_demo
from mmpose_mspn.apis.run_check import check_output_folder, check_run
from mmpose_mspn.diagnosis.curves import find_logs
from mmpose_mspn.utils.config_types import type_name
from mmpose_mspn.utils.files import write_json
from mmpose_mspn.utils.processor import computes_in_bf16


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
    watch = Stopwatch()
    cfg = load_config(config)
    check_output_folder('--work-dir', work_dir)
    cfg.work_dir = work_dir
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None  # evaluated once, after the training
    check_run(cfg, ('train', 'test'))
    train_in_bf16(cfg)
    with watch('data'):
        ensure_synthetic(cfg)
    with watch('training'):
        runner = Runner.from_cfg(cfg)
        runner.train()
    with watch('evaluation'):
        metrics = runner.test()
    with watch('picture'):
        draw_demo(runner.model, cfg, osp.join(work_dir, 'predictions.png'))
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
    write_json(osp.join(work_dir, 'results.json'), results, indent=2)
    return results
