"""The model table: a row for each config, up to date, in the formats of readers and of mim."""
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

import mmpose_mspn
from mmpose_mspn.checkpoints.published import published_models
from tests.building import SMALL, codec
from tests.places import ROOT
from tests.tools import load_tool

table, costs = load_tool('make_model_table'), load_tool('model_costs')
TABLE = (ROOT / 'docs/models.md').read_text(encoding='utf-8') if (ROOT / 'docs/models.md').exists() else ''
MAKE = 'run tools/make_model_table.py'


@pytest.mark.parametrize('path', table.config_paths(ROOT), ids=lambda path: path.stem)
def test_the_table_has_the_configs_row_as_it_is_now(path):
    relative = path.relative_to(ROOT).as_posix()
    entry = table.read_entries(ROOT)[path.stem]
    rows = [line for line in TABLE.splitlines() if f'({"../" + relative})' in line]
    assert len(rows) == 1, MAKE
    cells = [cell.strip() for cell in rows[0].strip('|').split(' | ')]
    command = table.start_command(Config.fromfile(str(path)), relative)
    assert cells[0].startswith(f'[{entry["title"]}]') and cells[4] == (table.describe_figures(entry) or '–'), MAKE
    assert cells[-1].strip('` |') == command, MAKE
    assert cells[-2].strip('`') == entry.get('names', ['–'])[0], MAKE


def test_mim_finds_every_config_below_the_package():
    home = Path(mmpose_mspn.__file__).parent / '.mim'
    index = yaml.safe_load((home / 'model-index.yml').read_text(encoding='utf-8'))
    models = [model for file in index['Import']
              for model in yaml.safe_load((home / file).read_text(encoding='utf-8'))['Models']]
    assert sorted(model['Name'] for model in models) == sorted(path.stem for path in table.config_paths(ROOT)), MAKE
    for model in models:
        assert (home / model['Config']).is_file()
        assert model['Metadata']['Parameters'] > 0 and model['Metadata']['FLOPs'] > 0
    weights = {model['Name']: (model['Weights'], model['Alias']) for model in models if 'Weights' in model}
    assert weights == {model.config: (model.url, list(model.names[1:])) for model in published_models() if model.url}


def test_cost_by_hand():
    """Parameters are the model's; every crop of four times the area takes four times the multiply-adds."""
    def model(size):
        return dict(type='mmpose.TopdownPoseEstimator', backbone=dict(
            type='mmpose_mspn.MSPN', num_stages=1, encoder=SMALL, unit_channels=16), head=dict(
                type='mmpose_mspn.MSPNHead', num_stages=1, out_channels=17, unit_channels=16, decoder=codec(size)))

    small, large = (costs.measure(model(size), size) for size in ((64, 64), (128, 128)))
    # ResNet-18 without its classifier; lateral and up convs; a 1×1 and a 3×3 conv a unit; two values a norm's channel.
    encoder = 11_176_512
    units = 16 * (64 + 128 + 256 + 512) + 4 * 2 * 16 + 3 * (16 * 16 + 2 * 16)
    predictors = 4 * (16 * 16 + 2 * 16 + 9 * 16 * 17 + 2 * 17)
    assert small[0] == large[0] == encoder + units + predictors
    assert large[1] == pytest.approx(4 * small[1], rel=0.01)


def write_configs(root, names, entries):
    (root / 'configs/coco').mkdir(parents=True)
    for name in names:
        (root / f'configs/coco/{name}.py').write_text('')
    (root / 'configs/published.yml').write_text(yaml.safe_dump({name: dict(title=name) for name in entries}))


@pytest.mark.parametrize('names, entries, message', [
    (['a', 'b'], ['a'], 'no entry for the config b: add one'),
    (['a'], ['a', 'b'], 'an entry b, but there is no such config'),
])
def test_configs_and_entries_must_match(names, entries, message, tmp_path):
    write_configs(tmp_path, names, entries)
    with pytest.raises(ValueError, match=message):
        table.make_rows(tmp_path)


@pytest.mark.parametrize('name, root, command', [
    ('a_8xb32-96k_coco', 'data/coco/', 'tools/dist_train.sh a_8xb32-96k_coco.py 8'),
    ('a_1xb32-96k_coco', 'data/coco/', 'python tools/train.py a_1xb32-96k_coco.py'),
    ('a_8xb32-96k_mpii-test-256', 'data/mpii/',
     'tools/dist_test.sh a_8xb32-96k_mpii-test-256.py work_dirs/a_8xb32-96k_mpii-256/iter_7.pth 8'),
])
def test_start_commands(name, root, command):
    cfg = Config(dict(data_root=root, model=dict(), train_cfg=dict(max_iters=7)))
    assert table.start_command(cfg, f'{name}.py') == command


def row(name='a', here=None):
    return table.Row(name, f'configs/x/mpii/{name}.py', f'MSPN {name}', (192, 256), '91.1 PCKh MPII val (us)', here,
                     'make demo', 1_234_567, 2.5e9)


def test_a_row_of_the_page():
    page = table.as_markdown([row()])
    assert page.count('has been trained here') == 1 and 'measured here' not in page
    assert ('| [MSPN a](../configs/x/mpii/a.py) | 256×192 | 1.23 M | 2.50 | 91.1 PCKh MPII val (us) | – | `make demo` |'
            in page)


def test_a_table_has_a_column_for_our_own_figures_if_there_is_one():
    page = table.as_markdown([row(), row('b', '90.0 PCKh')])
    assert '| model | input | parameters | GFLOPs | published | measured here | weights | start |' in page
    assert '| 91.1 PCKh MPII val (us) | – | – | `make demo` |' in page
    assert '| 91.1 PCKh MPII val (us) | 90.0 PCKh | – | `make demo` |' in page
    assert table.NONE_TRAINED not in page


def test_metafiles_hold_our_own_figures_only_where_there_are_any():
    files = table.as_metafiles([row(), row('b', '90.0 PCKh')])
    assert yaml.safe_load(files['model-index.yml']) == dict(Import=['configs/x/mpii/metafile.yml'])
    first, second = yaml.safe_load(files['configs/x/mpii/metafile.yml'])['Models']
    assert 'Measured Here' not in first['Metadata'] and second['Metadata']['Measured Here'] == '90.0 PCKh'
    assert first['Metadata']['Parameters'] == 1_234_567 and first['Config'] == 'configs/x/mpii/a.py'
