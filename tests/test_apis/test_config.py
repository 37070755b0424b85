"""Loading of configs for the tools."""
import pytest

from mmpose_mspn.apis.config import load_config
from tests.test_configs import CONFIGS, ROOT

CONFIG = str(ROOT / CONFIGS[0])


@pytest.mark.parametrize('how', [dict(data_root='/real/coco'), dict(cfg_options=dict(data_root='/real/coco'))])
def test_data_root_is_replaced_in_every_dataset(how):
    cfg = load_config(CONFIG, **how)
    roots = {cfg.data_root, *(cfg[f'{split}_dataloader'].dataset.data_root for split in ('train', 'val', 'test'))}
    assert roots == {'/real/coco/'}


def test_other_options_are_merged():
    cfg = load_config(CONFIG, {'train_dataloader.batch_size': 3, 'model.head.ohkm_topk': None})
    assert (cfg.train_dataloader.batch_size, cfg.model.head.ohkm_topk) == (3, None)


def test_missing_configs_and_roots_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='config nowhere.py does not exist'):
        load_config('nowhere.py')
    (tmp_path / 'bare.py').write_text('model = None')
    with pytest.raises(ValueError, match='has no data_root to replace by elsewhere'):
        load_config(str(tmp_path / 'bare.py'), data_root='elsewhere')
