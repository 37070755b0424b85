"""tools/new_dataset.py: the config that it writes checks, trains, tests and starts from other weights."""
import io
import json
import re
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS

from mmpose_mspn.apis.command_line import run_tool
from mmpose_mspn.checkpoints import convert
from mmpose_mspn.synthetic_people import generate
from mmpose_mspn.synthetic_people.robots import EIGHT, FOUR, write_robots
from tests.launching import python
from tests.places import ROOT
from tests.tools import load_tool

SHORT = ('train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2',
         'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
         'val_dataloader.persistent_workers=False', 'test_dataloader.num_workers=0',
         'test_dataloader.persistent_workers=False', 'train_dataloader.batch_size=4')


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    """Twelve drawn images to train on and two to validate on."""
    folder = tmp_path_factory.mktemp('people')
    generate(folder, train=12, val=2, workers=1, progress=False)
    return folder


@pytest.fixture(scope='module')
def robots(people) -> Path:
    return write_robots(people / 'annotations/person_keypoints_train2017.json', people / 'robots.json', EIGHT)


def run(tool: str, *arguments, folder: Path = ROOT) -> subprocess.CompletedProcess:
    return python(ROOT / f'tools/{tool}.py', *arguments, cwd=folder)


def create(*arguments) -> str:
    """The table that the tool prints."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setattr(sys, 'argv', ['new_dataset.py', *map(str, arguments)])
        load_tool('new_dataset').main()
    return printed.getvalue()


def refusal(*arguments) -> str:
    """The one line with which the tool ends."""
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as printed, \
            pytest.raises(SystemExit) as raised:
        patch.setattr(sys, 'argv', ['new_dataset.py', *map(str, arguments)])
        patch.setattr(signal, 'signal', lambda *_: None)  # the handler of a tool must not stay
        run_tool(load_tool('new_dataset').main)
    message = printed.getvalue().rstrip()
    assert raised.value.code == 1 and message.startswith('error: ') and '\n' not in message
    return message


@pytest.fixture(scope='module')
def trained(people, robots, tmp_path_factory):
    """A new dataset outside of the repository, and a checkpoint of two iterations on it."""
    out = tmp_path_factory.mktemp('elsewhere') / 'robot'
    made = run('new_dataset', robots, people / 'train2017', '--out', out, folder=out.parent.parent)
    assert made.returncode == 0, made.stderr
    table = made.stdout
    done = run('train', out / 'config.py', '--cfg-options', *SHORT, folder=out.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, table, out / 'work_dir/iter_2.pth'


def test_the_table_says_what_was_found_and_assumed(trained):
    out, table, _ = trained
    for row in (r'category +robot +id 7', r'keypoints +8 +left_shoulder, right_shoulder', r'skeleton +\d links',
                r'flip pairs +4 +4 from left and right in names: left_shoulder=right_shoulder',
                r'training +\d+ objects in 1\d images', r'validation +\d+ objects in 1 images +10% of the images',
                r'filled in +iscrowd \(\d+\); num_keypoints \(\d+\); area \(\d+\)', r'flips +on', r'sigmas +known',
                r'half bodies +on', r'crop +\d+ × \d+ px', r'network +small: 1 stage, ResNet-18 of 24 channels',
                r'iterations +3500 +up to 500 objects: 3500', r'augmentation +full', r'colors +varied'):
        assert re.search(row, table), row
    # What to do next is printed as it can be typed in the folder of the call.
    assert f'python {ROOT / "tools/train.py"} {out / "config.py"}\n' in table


def test_the_config_names_everything_itself(trained):
    out, _, _ = trained
    cfg = Config.fromfile(str(out / 'config.py'))
    assert cfg.model.head.out_channels == 8 and cfg.model.test_cfg.flip_test
    assert [metric.type for metric in cfg.val_evaluator] == ['mmpose_mspn.CocoMetric', 'PCKAccuracy']
    # 3500 iterations: a sixteenth of warm-up, ten validations.
    assert [one['end'] for one in cfg.param_scheduler] == [220, 3501] and cfg.train_cfg.val_interval == 350
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult == 1 and cfg.model.backbone.frozen_stages == -1
    # What keeps runs safe in the package's own configs keeps this one safe too.
    own = Config.fromfile(str(ROOT / 'configs/_base_/default_runtime.py'))
    assert {hook.type for hook in own.custom_hooks} <= {hook.type for hook in cfg.custom_hooks}
    assert cfg.default_hooks.checkpoint.type == own.default_hooks.checkpoint.type
    assert (cfg.get('optim_wrapper') or {}).get('type') == (own.get('optim_wrapper') or {}).get('type')


def test_the_category_stays_and_the_data_check_has_no_complaint(trained):
    out, _, _ = trained
    for name in ('train', 'val'):
        content = json.loads((out / f'{name}.json').read_text())
        assert [category['id'] for category in content['categories']] == [7]
        assert {entry['category_id'] for entry in content['annotations']} == {7}
    done = run('check_data', out / 'config.py')
    assert (done.returncode, done.stdout.strip()) == (0, 'no problems found'), done.stderr


def test_the_checkpoint_is_measured_with_both_metrics(trained):
    out, _, checkpoint = trained
    done = run('test', out / 'config.py', checkpoint, '--out', out / 'metrics.json', '--cfg-options',
               *(option for option in SHORT if option.startswith('test')))
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((out / 'metrics.json').read_text())
    assert 0 <= metrics['PCK'] <= 1 and 0 <= metrics['coco/AP'] <= 1


def test_inference_takes_boxes_of_the_category(trained, people, tmp_path):
    """Those of the robots; boxes of persons, category 1, are of another category."""
    out, _, checkpoint = trained
    robots = json.loads((out / 'val.json').read_text())['annotations']
    names = {image['id']: image['file_name'] for image in json.loads((out / 'val.json').read_text())['images']}
    boxes = [dict(file_name=names[entry['image_id']], bbox=entry['bbox'], category_id=number)
             for entry in robots for number in (7, 1)]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    done = run('infer', people / 'train2017', out / 'config.py', checkpoint, '--boxes', tmp_path / 'boxes.json',
               '--out', tmp_path / 'found')
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / 'found/predictions.json').read_text())
    assert found['keypoint_names'] == list(EIGHT)
    assert sum(len(image['instances']) for image in found['images']) == len(robots)


# ---------------------------------------------------------------- starting from other weights


def last_rows(weights: dict, name: str) -> torch.Tensor:
    return weights[f'head.predictors.0.3.1.{name}']


def test_a_training_starts_from_a_checkpoint_of_other_keypoints(people, trained, tmp_path):
    """With a learning rate of 0 the weights are still those that were carried over."""
    _, _, checkpoint = trained
    renamed = dict(zip(('left_shoulder', 'right_wrist', 'left_ankle'), ('shoulder', 'R_Wrist', 'tip')))
    file = write_robots(people / 'annotations/person_keypoints_train2017.json', tmp_path / 'three.json', renamed,
                      renamed=renamed)
    table = create(file, people / 'train2017', '--out', tmp_path / 'three', '--init-from', checkpoint, '--map',
                   'shoulder=left_shoulder')
    for row in (r'network +1 stage, ResNet-18 +of the checkpoint', r'shoulder +mapped +left_shoulder',
                r'R_Wrist +mapped +right_wrist', r'tip +new +mean of all keypoints'):
        assert re.search(row, table), row
    done = run('train', tmp_path / 'three/config.py', '--cfg-options', *SHORT, 'optim_wrapper.optimizer.lr=0')
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'keypoints transferred from the checkpoint' in done.stdout + done.stderr
    source = torch.load(checkpoint, weights_only=False)['state_dict']
    found = torch.load(tmp_path / 'three/work_dir/iter_2.pth', weights_only=False)['state_dict']
    for name in ('conv.weight', 'bn.weight', 'bn.bias'):
        rows = last_rows(source, name)
        expected = torch.stack([rows[EIGHT.index('left_shoulder')], rows[EIGHT.index('right_wrist')], rows.mean(0)])
        torch.testing.assert_close(last_rows(found, name), expected)
    # Resuming continues from the training's own checkpoint, whose keypoints are the dataset's: nothing is carried.
    done = run('train', tmp_path / 'three/config.py', '--resume', '--cfg-options', *SHORT, 'train_cfg.max_iters=3')
    assert done.returncode == 0 and 'keypoints transferred' not in done.stdout + done.stderr, done.stderr[-3000:]


@pytest.mark.parametrize('layout', ['official', 'mmpose'])
def test_checkpoints_in_other_layouts_say_nothing_of_their_keypoints(layout, people, robots, trained, tmp_path):
    out, _, checkpoint = trained
    weights = torch.load(checkpoint, weights_only=False)['state_dict']
    key = 'model' if layout == 'official' else 'state_dict'
    torch.save({key: convert(weights, layout)}, tmp_path / 'other.pth')
    arguments = (robots, people / 'train2017', '--out', tmp_path / 'new', '--init-from', tmp_path / 'other.pth')
    assert 'predicts 8 keypoints and does not name them' in refusal(*arguments)
    table = create(*arguments, '--source-names', *reversed(EIGHT))
    assert len(re.findall('carried', table)) == 8


# ---------------------------------------------------------------- any number of keypoints, and files to refuse


@pytest.fixture
def built(people, tmp_path):
    """Writes a file of keypoints with these names, and steps the network of its config once."""
    def build(names, category: str = 'thing') -> str:
        content = json.loads((people / 'annotations/person_keypoints_train2017.json').read_text())
        content['categories'] = [dict(id=3, name=category, keypoints=list(names), skeleton=[])]
        for entry in content['annotations']:
            x, y, width, height = entry['bbox']
            entry.update(category_id=3, keypoints=[
                value for index in range(len(names))
                for value in (x + width * index / len(names), y + height * (index % 7) / 7, 2)])
        (tmp_path / 'file.json').write_text(json.dumps(content))
        table = create(tmp_path / 'file.json', people / 'train2017', '--out', tmp_path / 'out')
        cfg = Config.fromfile(str(tmp_path / 'out/config.py'))
        data = DATASETS.build(cfg.train_dataloader.dataset)
        model = MODELS.build(cfg.model)
        batch = [data[0], data[1]]
        batch = model.data_preprocessor(dict(inputs=[one['inputs'] for one in batch],
                                             data_samples=[one['data_samples'] for one in batch]), True)
        losses = model.train()(**batch, mode='loss')
        assert all(torch.isfinite(value).all() for value in losses.values())
        heatmaps = model.eval()(batch['inputs'], None, mode='tensor')
        assert heatmaps[-1][-1].shape[1] == len(names)
        metainfo = parse_pose_metainfo(cfg.train_dataloader.dataset.metainfo)
        assert [metainfo['keypoint_id2name'][index] for index in range(len(names))] == list(names)
        return table
    return build


@pytest.mark.parametrize('names', [
    ('tip', ), ('tip', 'middle', 'end'), tuple(f'point_{index}' for index in range(200)), ('左目', '右目', 'été'),
    ("it's", 'a "b"', 'c=d'),
], ids=lambda names: f'{len(names)} {names[0]}')
def test_any_number_of_keypoints_and_any_names(names, built):
    table = built(names, category='Ключ "1"')
    assert re.search(rf'keypoints +{len(names)} ', table)
    assert re.search(r'flips +OFF', table) and re.search(rf'sigmas +0.05 for {len(names)}', table)
    assert re.search('best checkpoint +by PCK', table)


def changed(robots: Path, tmp_path: Path, change) -> Path:
    content = json.loads(robots.read_text())
    change(content)
    (tmp_path / 'changed.json').write_text(json.dumps(content))
    return tmp_path / 'changed.json'


@pytest.mark.parametrize('change, message', [
    (lambda content: content.update(annotations=[]), 'has no annotation of category robot with labeled keypoints'),
    (lambda content: content['annotations'][0].update(keypoints=[1, 2, 2]), 'annotation 10 has 3 values for 8'),
    (lambda content: content['categories'].append(dict(content['categories'][0], id=8, name='other')),
     'categories with keypoints, robot'),
    (lambda content: content['images'][0].update(file_name='none.jpg'), 'image none.jpg is not in'),
    (lambda content: content.clear(), "is not in COCO's format"),
])
def test_files_that_cannot_be_used_are_refused_in_one_line(change, message, people, robots, tmp_path):
    assert message in refusal(changed(robots, tmp_path, change), people / 'train2017', '--out', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('options, message', [
    (['--val-images', '.'], '--val-images is the folder of the images in --val'),
    (['--val', 'val.json', '--val-share', '0.2'], '--val val.json and --val-share 0.2 exclude each other'),
    (['--val', '{robots}'], 'is the file to train on'),
    (['--map', 'a=b'], '--map is about the keypoints of a checkpoint: name it with --init-from'),
    (['--init-from', 'none.pth', '--network', 'small'], '--network small and --init-from exclude each other'),
    (['--init-from', 'none.pth'], 'none.pth does not exist'),
    (['--pairs', 'tip=base'], '--pairs takes NAME=NAME, got tip=base'),
    (['--sigmas', '2'], '--sigmas must be numbers between 0 and 1'),
    (['--category', 'dog'], 'has 0 categories with keypoints called dog'),
])
def test_options_that_cannot_be_used_are_refused_in_one_line(options, message, people, robots, tmp_path):
    options = [option.format(robots=robots) for option in options]
    assert message in refusal(robots, people / 'train2017', '--out', tmp_path / 'out', *options)


def test_a_config_is_not_overwritten_unless_asked(people, robots, tmp_path):
    create(robots, people / 'train2017', '--out', tmp_path)
    assert 'overwrite it with --force' in refusal(robots, people / 'train2017', '--out', tmp_path)
    create(robots, people / 'train2017', '--out', tmp_path, '--network', 'medium', '--force')
    config = tmp_path / 'config.py'
    edited = config.read_text() + 'mine = 1\n'
    config.write_text(edited)
    assert 'config.py stands in the way' in refusal(robots, people / 'train2017', '--out', tmp_path, '--force')
    assert config.read_text() == edited


@pytest.mark.parametrize('name', ['train.json', 'val.json', 'base.py', 'metainfo.py', 'config.py'])
def test_a_file_of_the_user_stays(name, people, robots, tmp_path):
    (tmp_path / name).write_text('mine')
    assert f'{name} stands in the way' in refusal(robots, people / 'train2017', '--out', tmp_path, '--force')
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == 'mine'


def test_files_of_their_own_for_validation(people, tmp_path):
    files = [write_robots(people / f'annotations/person_keypoints_{split}2017.json', tmp_path / f'{split}.json', FOUR)
             for split in ('train', 'val')]
    table = create(files[0], people / 'train2017', '--val', files[1], '--val-images', people / 'val2017', '--out',
                   tmp_path / 'out')
    assert re.search(r'validation +\d+ objects in 2 images\n', table)
    cfg = Config.fromfile(str(tmp_path / 'out/config.py'))
    assert cfg.val_dataloader.dataset.data_prefix.img == str(people / 'val2017')
    assert len(DATASETS.build(cfg.val_dataloader.dataset)) > 0
