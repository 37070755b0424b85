"""Files of any JSON content: the data check never raises, the datasets refuse in one line that names the file, and
whatever the datasets refuse, the data check has found."""
import copy
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmpose.registry import DATASETS

from mmpose_mspn.data_check.problems import Report
from mmpose_mspn.evaluation.coco_submission import check_coco_submission
from mmpose_mspn.utils.errors import DataError
from tests.test_data_check.files import check, coco, write_image

many = settings(max_examples=150, deadline=None, derandomize=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 100) | st.sampled_from(
        [math.nan, math.inf, -math.inf, 1e10, -1e10, 1e300, 10**400, -10**30, 2**63, 0.5, '', '7', 'a', '\0']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(['id', 'a']), inner, max_size=2),
    max_leaves=6)


def boxes() -> list:
    return [dict(image_id=number, category_id=1, bbox=[1., 2., 30., 40.], score=.9) for number in (1, 2)]


def mpii() -> list:
    return [dict(image='a.jpg', center=[32, 24], scale=0.2, joints=[[30, 20]] * 16, joints_vis=[1] * 16)
            for _ in range(2)]


def places(node: object, path: tuple = ()) -> list:
    """The paths of everything inside."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


@st.composite
def mutated(draw, content: object) -> object:
    """The content with one to three parts replaced, removed or repeated."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        inside = places(content)
        # Every level is as probable as the others, because nearly all places are coordinates.
        depth = draw(st.sampled_from(sorted({len(place) for place in inside})))
        *parents, last = draw(st.sampled_from([place for place in inside if len(place) == depth])) or (None, )
        if last is None:
            content = draw(values)
            continue
        node = content
        for key in parents:
            node = node[key]
        what = draw(st.sampled_from(['replace', 'remove', 'repeat']))
        if what == 'replace':
            node[last] = draw(values)
        elif what == 'remove':
            del node[last]
        elif isinstance(node, list):
            node.append(copy.deepcopy(node[last]))
    return content


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('any')
    for name in ('1.jpg', '2.jpg', 'a.jpg'):
        write_image(folder / name)
    return folder


def refusal(folder: Path, kind: str, file: str, **changes) -> str:
    """What the dataset says against its files, or ''."""
    try:
        DATASETS.build({'type': f'mmpose_mspn.{kind}', 'data_root': str(folder), 'ann_file': 'content.json',
                        'data_prefix': dict(img=''), 'pipeline': [], **changes})
    except DataError as error:
        assert str(folder / file) in str(error) and '\n' not in str(error), error
        return str(error)
    return ''


@many
@given(mutated(coco(area=300.)))
def test_annotations(folder, content):
    (folder / 'content.json').write_text(json.dumps(content))
    report = check(folder, file='content.json')
    refusals = [refusal(folder, 'CocoDataset', 'content.json', test_mode=test_mode) for test_mode in (False, True)]
    if any(refusals):
        assert report, refusals


@many
@given(mutated(boxes()))
def test_boxes(folder, content):
    (folder / 'content.json').write_text(json.dumps(coco(area=300.)))
    (folder / 'boxes.json').write_text(json.dumps(content))
    report = check(folder, 'boxes.json', file='content.json')
    said = refusal(folder, 'CocoDataset', 'boxes.json', test_mode=True, bbox_file='boxes.json')
    if said and 'holds no person to test on' not in said:
        assert report, said


@many
@given(mutated(mpii()))
def test_mpii_people(folder, content):
    (folder / 'content.json').write_text(json.dumps(content))
    report = check(folder, file='content.json', kind='MpiiDataset')
    refusals = [refusal(folder, 'MpiiDataset', 'content.json', test_mode=test_mode) for test_mode in (False, True)]
    # The people of a test have no joints.
    refusals = [said for said in refusals if said and 'no joints, joints_vis' not in said]
    if any(refusals) and 'holds no person' not in ''.join(refusals):
        assert report, refusals


@many
@given(mutated(dict(info=dict(images=[dict(id=1)]), results=[
    dict(image_id=1, category_id=1, keypoints=[1., 2., .5] * 17, score=.9)])))
def test_submissions(folder, content):
    parts = content if isinstance(content, dict) else {}
    (folder / 'info.json').write_text(json.dumps(parts.get('info')))
    (folder / 'result.json').write_text(json.dumps(parts.get('results')))
    Report().collect(check_coco_submission(str(folder / 'result.json'), str(folder / 'info.json')))


@settings(many, max_examples=40)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode) | st.integers(1, 300).map(
    lambda length: json.dumps(coco(area=300.)).encode()[:length]) | st.just(b'[' * 100000) | st.just(b'1' * 5000))
def test_bytes(folder, content):
    (folder / 'content.json').write_bytes(content)
    for kind in ('CocoDataset', 'MpiiDataset'):
        assert check(folder, file='content.json', kind=kind)
        assert refusal(folder, kind, 'content.json')
