"""The submission to the MPII evaluation: written by the metric, read back and checked."""
import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.registry import METRICS
from mmpose.structures import PoseDataSample
from scipy.io import loadmat, savemat

import mmpose_mspn  # noqa: F401  registers the parts
from mmpose_mspn.data_check.problems import Report
from mmpose_mspn.datasets.mpii_release import write_test_people
from mmpose_mspn.evaluation.mpii_submission import check_mpii_submission
from mmpose_mspn.utils.errors import DataError
from tests.launching import python

TOOL = Path(__file__).parents[2] / 'tools' / 'submission.py'


def struct(**fields):
    """A MATLAB struct array. Each field has a list of values, one for each entry."""
    length = len(next(iter(fields.values())))
    array = np.empty((1, length), [(name, object) for name in fields])
    for name, values in fields.items():
        for index, value in enumerate(values):
            array[0, index][name] = value
    return array


def one(**fields):
    return struct(**{name: [value] for name, value in fields.items()})


@pytest.fixture
def release(tmp_path):
    """Four images: one for training, and three of the test set, with two single people (1 and 3), none whose position
    is known, and one."""
    place = [one(x=10. * number, y=20. * number) for number in range(1, 6)]
    nothing = np.zeros((0, 0))
    rects = [
        struct(x1=[1.], scale=[1.], objpos=[place[4]], annopoints=[nothing]),
        struct(scale=[.5, .6, .7], objpos=place[:3]),
        struct(scale=[nothing], objpos=[nothing]),
        struct(x1=[3.], scale=[2.], objpos=[place[3]], annopoints=[nothing]),
    ]
    annolist = struct(image=[one(name=f'{number}.jpg') for number in range(4)], annorect=rects)
    single = np.empty((4, 1), object)
    for index, numbers in enumerate(([1.], [1., 3.], [1.], [1.])):
        single[index, 0] = np.array(numbers)[:, None]
    savemat(str(tmp_path / 'release.mat'), dict(RELEASE=one(
        annolist=annolist, img_train=np.array([[1., 0., 0., 0.]]), single_person=single)))
    return str(tmp_path / 'release.mat')


def submit(release, people, outfile):
    """Submit joint j of person n at (100 n + j, 200 n + j) px, counted from 0."""
    metric = METRICS.build(dict(type='mmpose_mspn.MpiiSubmission', release_file=release, outfile=str(outfile)))
    for number, person in enumerate(people):
        sample = PoseDataSample(metainfo=dict(raw_ann_info=person))
        joints = np.stack([100. * number + np.arange(16), 200. * number + np.arange(16)], -1)
        sample.pred_instances = InstanceData(keypoints=joints[None], keypoint_scores=np.ones((1, 16)))
        metric.process([], [sample.to_dict()])
    return metric.evaluate(len(people))


@pytest.fixture
def people(release, tmp_path):
    assert write_test_people(release, str(tmp_path / 'test.json')) == 3
    return json.loads((tmp_path / 'test.json').read_text())


def test_the_people_of_the_test_set(people):
    assert people == [
        dict(image='1.jpg', center=[10., 20.], scale=.5),
        dict(image='1.jpg', center=[30., 60.], scale=.7),
        dict(image='3.jpg', center=[40., 80.], scale=2.),
    ]


def test_every_joint_is_where_the_evaluation_reads_it(release, people, tmp_path):
    outfile = tmp_path / 'work' / 'pred_keypoints_mpii.mat'
    assert submit(release, people, outfile) == {'mpii/people': 3}
    pred = loadmat(str(outfile), squeeze_me=True, struct_as_record=False)['pred']
    assert [image.image.name for image in pred] == ['1.jpg', '2.jpg', '3.jpg']
    for number, rect in enumerate((pred[0].annorect[0], pred[0].annorect[2], pred[2].annorect)):
        for joint, point in enumerate(rect.annopoints.point):
            # MPII's pixels count from 1
            assert (point.id, point.x, point.y) == (joint, 100 * number + joint + 1, 200 * number + joint + 1)
    assert pred[0].annorect[1].annopoints.size == 0
    assert pred[2].annorect.scale == 2 and pred[2].annorect.x1 == 3  # unchanged


def test_an_incomplete_submission_is_refused(release, people, tmp_path):
    with pytest.raises(DataError, match=r'pred.mat is incomplete:\n.*: 1\n    person 3 of 1.jpg: joints \[\]'):
        submit(release, [people[0], people[2]], tmp_path / 'pred.mat')


def test_people_outside_the_test_set_are_refused(release, people, tmp_path):
    with pytest.raises(DataError, match=r'no person of the test set is at \[13.0, 20.0\] in 1.jpg'):
        submit(release, [dict(people[0], center=[13., 20.])], tmp_path / 'pred.mat')


def test_a_submission_with_other_images_is_reported(release, tmp_path):
    report = Report()
    savemat(str(tmp_path / 'pred.mat'), dict(pred=struct(annorect=[np.zeros((0, 0))])))
    assert report.collect(check_mpii_submission(str(tmp_path / 'pred.mat'), release)) == 3
    assert report.counts == {'incomplete entry': 1} and '1 images, not the 3' in str(report)


def test_a_missing_or_wrong_release_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='put mpii_human_pose_v1_u12_1.mat'):
        write_test_people(str(tmp_path / 'none.mat'), str(tmp_path / 'out.json'))
    savemat(str(tmp_path / 'other.mat'), dict(a=1))
    with pytest.raises(DataError, match='holds no RELEASE'):
        write_test_people(str(tmp_path / 'other.mat'), str(tmp_path / 'out.json'))


@pytest.mark.parametrize('content', [
    dict(RELEASE=1), dict(RELEASE='text'), dict(RELEASE=one(annolist=1.)),
    dict(RELEASE=one(annolist=np.ones((1, 2)), img_train=np.zeros((1, 2)), single_person=np.ones((1, 2))))])
def test_release_files_of_another_structure_are_refused(content, tmp_path):
    savemat(str(tmp_path / 'other.mat'), content)
    with pytest.raises(DataError, match="MPII's annotation file"):
        write_test_people(str(tmp_path / 'other.mat'), str(tmp_path / 'out.json'))


def test_bytes_that_are_no_matrix_are_refused_and_reported(release, tmp_path):
    (tmp_path / 'other.mat').write_bytes(b'no matrix')
    with pytest.raises(DataError, match="other.mat is not MPII's annotation file"):
        write_test_people(str(tmp_path / 'other.mat'), str(tmp_path / 'out.json'))
    for content in (b'no matrix', b'', Path(release).read_bytes()[:200]):
        (tmp_path / 'pred.mat').write_bytes(content)
        report = Report()
        report.collect(check_mpii_submission(str(tmp_path / 'pred.mat'), release))
        assert report.counts == {'unreadable file': 1}


def test_tool(release, people, tmp_path):
    listed = python(TOOL, 'mpii-people', release, tmp_path / 'listed.json')
    assert listed.returncode == 0 and '3 people' in listed.stdout, listed.stderr
    assert json.loads((tmp_path / 'listed.json').read_text()) == people
    submit(release, people, tmp_path / 'pred.mat')
    good = python(TOOL, 'check-mpii', tmp_path / 'pred.mat', release)
    assert good.returncode == 0, good.stderr
    assert good.stdout.splitlines() == ['3 people in the test set', 'no problems found']
