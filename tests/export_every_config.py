"""Export every config and compare the file with PyTorch, as tools/export.py does.

    python -m tests.export_every_config [--only WORD ...]

The weights are random, with norms that have seen drawn people. A config takes about half a minute on two cores, so this
is not part of the test suite, whose test_deploy/test_export.py exports a small model of each kind.
"""
import argparse
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn import export
from mmpose_mspn.deploy.pictures import crops_of
from tests.generated import drawn_pictures
from tests.places import ROOT
from tests.tools import load_tool

config_paths = load_tool('make_model_table').config_paths
PEOPLE = 3


def build(cfg: Config) -> nn.Module:
    """The model of a config with random weights; one pass over drawn people sets the statistics of its norms."""
    if 'members' in cfg.model:
        raise ValueError('the config is an ensemble, which cannot be exported: export each of its members')
    from mmpose.apis.inference import dataset_meta_from_config  # after the fixes of this package's import
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.cfg, model.dataset_meta = cfg, dataset_meta_from_config(cfg, 'test')
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean over all passes
    crops = crops_of(drawn_pictures(PEOPLE, seed=1), cfg, model.dataset_meta)
    model.train()
    with torch.no_grad():
        inputs = model.data_preprocessor(dict(inputs=list(crops), data_samples=[]), True)['inputs']
        feats = model.extract_feat(inputs)
        model.head(feats)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', default=[''], metavar='WORD',
                        help='export the configs whose names contain one of these words')
    args = parser.parse_args()
    from mmpose.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    failures = 0
    for path in config_paths(ROOT):
        if not any(word in path.stem for word in args.only):
            continue
        init_default_scope('mmpose')
        torch.manual_seed(0)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = export(build(Config.fromfile(str(path))), Path(folder) / 'model.onnx',
                               pictures=drawn_pictures(PEOPLE))
                said = (f'{found["keypoints"]} keypoints, {found["largest_px"]:.1g} px at most, {found["undecided"]} '
                        'decided by rounding')
            except ValueError as error:
                refused = 'cannot be exported' in str(error)
                failures += not refused
                said = f'{"refused" if refused else "FAILED"}: {error}'
        print(f'| {path.stem} | {time.perf_counter() - start:.0f} s | {said} |', flush=True)
    raise SystemExit(failures and f'{failures} configs failed')


if __name__ == '__main__':
    main()
