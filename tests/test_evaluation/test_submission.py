"""Files for the evaluation servers: written by the metrics, read back and checked."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.registry import METRICS
from mmpose.structures import PoseDataSample
from scipy.io import loadmat, savemat

import mmpose_mspn  # noqa: F401  registers the parts
from mmpose_mspn.data_check.report import Report
from mmpose_mspn.datasets.mpii_release import write_test_people
from mmpose_mspn.evaluation.submission import check_coco_submission, check_mpii_submission

TOOL = Path(__file__).parents[2] / 'tools' / 'submission.py'


def result(**changes):
    return dict(dict(image_id=1, category_id=1, keypoints=[1., 2., .5] * 17, score=.9), **changes)


def check_coco(folder, results):
    (folder / 'info.json').write_text(json.dumps(dict(images=[dict(id=number) for number in (1, 2, 3)])))
    (folder / 'result.json').write_text(json.dumps(results))
    report = Report()
    return report, check_coco_submission(str(folder / 'result.json'), str(folder / 'info.json'), report)


def test_coco_result_in_order_and_images_without_one(tmp_path):
    report, without = check_coco(tmp_path, [result(), result(image_id=3)])
    assert not report and without == [2]


@pytest.mark.parametrize('kind, changes', [
    ('result in an unknown image', dict(image_id=9)),
    ('result of another category', dict(category_id=2)),
    ('keypoints of another number', dict(keypoints=[1.] * 34)),
    ('result that is not finite', dict(keypoints=[float('nan')] * 51)),
    ('result that is not finite', dict(score=float('inf'))),
    ('result that is not finite', dict(score='0.9')),
])
def test_coco_result_faults(kind, changes, tmp_path):
    assert check_coco(tmp_path, [result(), result(**changes)])[0].counts == {kind: 1}


def test_coco_result_incomplete(tmp_path):
    broken = result()
    del broken['score']
    assert check_coco(tmp_path, [broken])[0].counts == {'incomplete entry': 1}
    assert check_coco(tmp_path, dict(results=[]))[0].counts == {'unreadable file': 1}


def test_stock_metric_writes_what_the_check_passes(tmp_path):
    info = dict(images=[dict(id=1, width=64, height=64, file_name='1.jpg')], categories=[dict(id=1, name='person')])
    (tmp_path / 'info.json').write_text(json.dumps(info))
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(tmp_path / 'info.json'), format_only=True,
                                outfile_prefix=str(tmp_path / 'person')))
    metric.dataset_meta = dict(dataset_name='coco', num_keypoints=17, sigmas=np.full(17, .05), CLASSES=[])
    joints = np.random.default_rng(0).uniform(0, 64, (1, 17, 2)).astype(np.float32)
    metric.process([], [dict(
        id=0, img_id=1, category_id=1,
        pred_instances=dict(keypoints=joints, keypoint_scores=np.full((1, 17), .8, np.float32),
                            bboxes=np.array([[0, 0, 60, 60]], np.float32), bbox_scores=np.ones(1, np.float32)),
        gt_instances=dict(bbox_scales=np.array([[60, 60]], np.float32)))])
    metric.evaluate(1)
    report = Report()
    assert check_coco_submission(str(tmp_path / 'person.keypoints.json'), str(tmp_path / 'info.json'), report) == []
    assert not report, str(report)


# ---------------------------------------------------------------- MPII


def struct(**fields):
    """A MATLAB struct array of the fields' values, one entry a value."""
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
    """Four images: the first for training; the second with people 1 and 3 apart, the third with none of known place,
    the fourth with one."""
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
    """Joints of person n: (100 n + joint, 200 n + joint) px from 0."""
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


def test_people_of_the_test_set(people):
    assert people == [
        dict(image='1.jpg', center=[10., 20.], scale=.5),
        dict(image='1.jpg', center=[30., 60.], scale=.7),
        dict(image='3.jpg', center=[40., 80.], scale=2.),
    ]


def test_mpii_submission_holds_every_joint_where_the_evaluation_looks(release, people, tmp_path):
    outfile = tmp_path / 'work' / 'pred_keypoints_mpii.mat'
    assert submit(release, people, outfile) == {'mpii/people': 3}
    pred = loadmat(str(outfile), squeeze_me=True, struct_as_record=False)['pred']
    assert [image.image.name for image in pred] == ['1.jpg', '2.jpg', '3.jpg']
    for number, rect in enumerate((pred[0].annorect[0], pred[0].annorect[2], pred[2].annorect)):
        for joint, point in enumerate(rect.annopoints.point):
            # MATLAB counts from 1
            assert (point.id, point.x, point.y) == (joint, 100 * number + joint + 1, 200 * number + joint + 1)
    assert pred[0].annorect[1].annopoints.size == 0
    assert pred[2].annorect.scale == 2 and pred[2].annorect.x1 == 3  # as given


def test_mpii_submission_that_lacks_people_is_refused(release, people, tmp_path):
    with pytest.raises(ValueError, match=r'pred.mat is incomplete:\n.*: 1\n    person 3 of 1.jpg: joints \[\]'):
        submit(release, [people[0], people[2]], tmp_path / 'pred.mat')


def test_strangers_are_refused(release, people, tmp_path):
    with pytest.raises(ValueError, match=r'nobody in the test set is at \[13.0, 20.0\] in 1.jpg'):
        submit(release, [dict(people[0], center=[13., 20.])], tmp_path / 'pred.mat')


def test_mpii_submission_of_other_images(release, tmp_path):
    report = Report()
    savemat(str(tmp_path / 'pred.mat'), dict(pred=struct(annorect=[np.zeros((0, 0))])))
    assert check_mpii_submission(str(tmp_path / 'pred.mat'), release, report) == 3
    assert report.counts == {'incomplete entry': 1} and '1 images, not the 3' in str(report)


def test_release_file_is_named_when_missing_or_another(tmp_path):
    with pytest.raises(FileNotFoundError, match='put mpii_human_pose_v1_u12_1.mat'):
        write_test_people(str(tmp_path / 'none.mat'), str(tmp_path / 'out.json'))
    savemat(str(tmp_path / 'other.mat'), dict(a=1))
    with pytest.raises(ValueError, match='holds no RELEASE'):
        write_test_people(str(tmp_path / 'other.mat'), str(tmp_path / 'out.json'))


def test_tool(release, tmp_path):
    def run(*args):
        return subprocess.run([sys.executable, TOOL, *args], capture_output=True, text=True, check=False)

    listed = run('mpii-people', release, tmp_path / 'test.json')
    assert listed.returncode == 0 and '3 people' in listed.stdout, listed.stderr
    check_coco(tmp_path, [result(category_id=2)])
    bad = run('check-coco', tmp_path / 'result.json', tmp_path / 'info.json')
    assert bad.returncode == 1, bad.stderr
    assert '2 images without a result, such as [2, 3]' in bad.stdout and 'category_id 2' in bad.stdout
