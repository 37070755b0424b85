"""Published weights: the table against mmpose's own metafiles and models, and downloads from a server of this test."""
import multiprocessing
import re
import time
from pathlib import Path
from typing import Dict, Iterator

import mmpose
import pytest
import torch
import yaml
from mmengine.config import Config
from mmpose.registry import MODELS
from torch import Tensor

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.checkpoints import convert, published
from mmpose_mspn.checkpoints.fit import compare_with_model
from mmpose_mspn.checkpoints.published import PublishedModel, checkpoint_file, download, published_models
from mmpose_mspn.utils.errors import CheckpointError
from tests.places import TOPDOWN
from tests.weight_server import Server, running_server, use_empty_homes

MMPOSE = Path(mmpose.__file__).parent / '.mim'
COCO = MMPOSE / 'configs/body_2d_keypoint/topdown_heatmap/coco'
SHORT = ['mspn50', '2xmspn50', '3xmspn50', '4xmspn50', 'rsn18', 'rsn50', '2xrsn50', '3xrsn50']
CONTENT = bytes(range(256)) * 1024


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Where downloads are kept; it does not exist yet."""
    return use_empty_homes(tmp_path, monkeypatch)


# ---------------------------------------------------------------- the table


def mmposes_models() -> Dict[str, dict]:
    """The entries of mmpose's metafiles for MSPN and RSN by their names."""
    return {model['Name']: model for name in ('mspn', 'rsn')
            for model in yaml.safe_load((COCO / f'{name}_coco.yml').read_text())['Models']}


def test_addresses_and_figures_are_those_of_mmposes_metafiles():
    theirs = mmposes_models()
    models = [model for model in published_models() if model.url]
    assert [model.names[1] for model in models] == SHORT and len(theirs) == len(SHORT)
    for model in models:
        entry = theirs[f'td-hm_{model.names[1]}_8xb32-210e_coco-256x192']
        assert entry['Name'] in model.names and entry['Weights'] == model.url
        ap = 100 * entry['Results'][0]['Metrics']['AP']
        assert model.figures == f"{ap:.1f} AP COCO val2017 (mmpose's port)"


def test_names_are_unique_and_those_of_configs():
    models = published_models()
    names = [name for model in models for name in model.names]
    assert len(names) == len(set(names))
    assert all((TOPDOWN / f'coco/{model.config}.py').is_file() for model in models)


def published_weights(model: PublishedModel) -> Dict[str, Tensor]:
    """Weights without storage under the keys of the published file.

    They are those of mmpose's model. Before mmpose 1.0, which published MSPN, its head was ``keypoint_head``. The
    official code's file has the keys of the official layout, which the recordings of that code prove.
    """
    short = '2xmspn50' if model.page else model.names[1]
    with torch.device('meta'):
        cfg = Config.fromfile(str(COCO / f'td-hm_{short}_8xb32-210e_coco-256x192.py'))
        weights = MODELS.build(cfg.model).state_dict()
    if model.page:
        return convert(weights, 'official')
    renamed = 'keypoint_head' if 'mspn' in short else 'head'
    return {re.sub('^head', renamed, key): value for key, value in weights.items()}


@pytest.mark.parametrize('model', published_models(), ids=lambda model: model.names[1])
def test_the_files_fill_their_configs(model):
    """Layout, keypoints and input size are those of the config, and the size is that of the tensors."""
    weights = published_weights(model)
    cfg = load_config(str(TOPDOWN / f'coco/{model.config}.py'))
    with torch.device('meta'):
        ours = MODELS.build(cfg.model)
    assert not compare_with_model(dict(state_dict=weights), ours)
    assert cfg.model.head.out_channels == 17
    size = re.search(r'(\d+)x(\d+)(-|$)', model.config)
    assert tuple(cfg.codec.input_size) == (int(size[2]), int(size[1]))
    assert model.page or f'{size[1]}x{size[2]}' in model.file
    held = sum(value.numel() * value.element_size() for value in weights.values())
    assert model.megabytes == round(held / 1e6)


def test_a_file_tells_its_config():
    for model in published_models():
        assert published.published_config(Path('somewhere', model.file)) == model.config
    assert published.published_config('iter_96000.pth') is None


def test_the_list_shows_names_figures_and_sizes(capsys):
    published.list_models()
    text = capsys.readouterr().out
    assert len(text.splitlines()) == len(published_models())
    line = r"^td-hm_4xmspn50_8xb32-210e_coco-256x192 +4xmspn50 +76\.5 AP COCO val2017 \(mmpose's port\), 482 MB$"
    assert re.search(line, text, re.MULTILINE)
    assert text.count('by hand from https://drive.google.com') == 1


# ---------------------------------------------------------------- names and downloads


@pytest.mark.parametrize('name, digits', [
    ('mspn50_coco_256x192-8fbfb5d0_20201123.pth', '8fbfb5d0'),
    ('rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth', '235e8209'),
    ('resnet50-11ad3fa6.pth', '11ad3fa6'),
    ('model-20201123.pth', ''),
    ('yolo-x_8xb8-300e_coco-face_13274d7c.pth', ''),
    ('iter_96000.pth', ''),
])
def test_the_hash_in_a_files_name(name, digits):
    assert published.hash_in_name(name) == digits


def test_every_name_downloads_its_file_once(server, folder, monkeypatch):
    models = []
    for number, model in enumerate(published_models()):
        name = server.add(CONTENT + bytes([number]))
        models.append(model._replace(file=name, url=model.url and server.url(name)))
    monkeypatch.setattr(published, 'published_models', lambda: models)
    for model in models:
        if model.page:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / model.file).write_bytes(server.files[model.file])  # by hand
        for name in model.names:
            for spelled in (name, f'mmpose_mspn://{name}'):
                path = checkpoint_file(spelled)
                assert path == folder / model.file and path.read_bytes() == server.files[model.file]
        server.files.pop(model.file)
    assert [name for name, _ in server.requests] == [model.file for model in models if model.url]


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('mspn50').write_bytes(b'')
    assert checkpoint_file('mspn50') == Path('mspn50')


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(FileNotFoundError, match="checkpoint 4mspn50 does not exist: .*did you mean '4xmspn50'"):
        checkpoint_file('4mspn50')


def test_the_official_file_is_asked_for_with_its_page(folder):
    with pytest.raises(CheckpointError, match='mspn_2xstg_coco.pth by hand from https://drive.google.com') as error:
        checkpoint_file('mspn_2xstg_coco')
    assert str(folder) in str(error.value)


def test_offline_and_not_there(server, folder):
    name = server.add(CONTENT)
    url = server.url(name)
    server.server_close()  # the connection is refused, as without a network
    with pytest.raises(CheckpointError) as error:
        download(url)
    message = str(error.value)
    assert '\n' not in message and url in message and str(folder) in message and f'the file {name}' in message


def test_offline_and_there(server, folder):
    name = server.add(CONTENT)
    url = server.url(name)
    download(url)
    server.server_close()
    assert download(url + '?again=1').read_bytes() == CONTENT


def test_a_missing_page_and_a_redirect(server, folder):
    with pytest.raises(CheckpointError, match='nothing.pth cannot be downloaded .*404'):
        download(server.url('nothing.pth'))
    name = server.add(CONTENT)
    assert download(server.url(f'moved/{name}')).read_bytes() == CONTENT
    assert server.requests[1:] == [(f'moved/{name}', None), (name, None)]


def test_an_address_without_a_file_is_refused(server):
    with pytest.raises(CheckpointError, match='names no file'):
        download(server.url(''))


def test_a_wrong_hash_is_not_kept(server, folder):
    name = server.add(CONTENT)
    server.files[name] = CONTENT[::-1]
    with pytest.raises(CheckpointError, match=f'{name} is not the file that its name says'):
        download(server.url(name))
    assert len(server.requests) == 1 and not list(folder.glob('*.pth*[!k]'))
    server.files[name] = CONTENT
    assert download(server.url(name)).read_bytes() == CONTENT


@pytest.mark.parametrize('ranges, third', [(True, 220_000), (False, 120_000)], ids=('ranges', 'whole'))
def test_a_broken_download_goes_on_or_starts_again(server, ranges, third):
    name = server.add(CONTENT)
    server.cut, server.ranges = [100_000, 120_000], ranges
    assert download(server.url(name)).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, 'bytes=100000-', f'bytes={third}-']


def test_the_hash_tells_that_the_end_is_missing_where_the_length_is_not_known(server):
    name = server.add(CONTENT)
    server.cut, server.sized = [100_000], False
    with pytest.raises(CheckpointError, match='not the file that its name says'):
        download(server.url(name))
    assert download(server.url(name)).read_bytes() == CONTENT


def test_a_download_that_brings_nothing_ends(server, folder):
    name = server.add(CONTENT)
    server.cut = [100_000, 0, 0, 0, 0]
    with pytest.raises(CheckpointError, match='the connection broke after 100000 of 262144 bytes'):
        download(server.url(name))
    server.cut = []
    assert download(server.url(name)).read_bytes() == CONTENT  # goes on
    assert server.requests[-1] == (name, 'bytes=100000-')


def test_a_busy_server_does_not_lose_the_part(server, folder):
    name = server.add(CONTENT)
    server.cut, server.busy = [100_000], 1
    with pytest.raises(CheckpointError, match='503'):
        download(server.url(name))
    assert download(server.url(name)).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, 'bytes=100000-', 'bytes=100000-']


def test_an_unnamed_hash_never_goes_on(server, folder):
    """Nothing would tell that the part is one of another file; a cut file is not taken for the whole."""
    server.files['plain.pth'] = CONTENT
    server.cut = [1000] + [0] * published.ATTEMPTS
    with pytest.raises(CheckpointError, match='the connection broke'):
        download(server.url('plain.pth'))
    assert not (folder / 'plain.pth').exists()
    server.cut, server.requests = [], []
    assert download(server.url('plain.pth')).read_bytes() == CONTENT
    assert server.requests == [('plain.pth', None)]


@pytest.mark.parametrize('part', [CONTENT, CONTENT + b'more', b'other'], ids=['whole', 'longer', 'other'])
def test_a_part_that_does_not_fit_is_replaced(server, folder, part):
    name = server.add(CONTENT)
    folder.mkdir(parents=True)
    (folder / f'{name}.part').write_bytes(part)
    assert download(server.url(name)).read_bytes() == CONTENT
    assert sorted(path.suffix for path in folder.iterdir()) in (['.lock', '.pth'], ['.pth'])


def start_download(url: str) -> multiprocessing.Process:
    process = multiprocessing.get_context('fork').Process(target=download, args=(url, ))
    process.start()
    return process


def test_two_processes_download_once(server, folder):
    name = server.add(CONTENT)
    server.delay = 0.1  # 16 chunks: the second process asks while the first one downloads
    processes = [start_download(server.url(name)) for _ in range(2)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert server.requests == [(name, None)] and (folder / name).read_bytes() == CONTENT


def test_a_killed_download_goes_on(server, folder):
    name = server.add(CONTENT)
    server.delay = 0.2
    process = start_download(server.url(name))
    part = folder / f'{name}.part'
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.join(60)
    started = part.stat().st_size
    assert 0 < started < len(CONTENT)
    server.delay = 0
    assert download(server.url(name)).read_bytes() == CONTENT
    assert server.requests == [(name, None), (name, f'bytes={started}-')]
