"""Annotations of labeling tools, written here as the tools write them, as COCO keypoints, and predictions back."""
import json
from pathlib import Path

import pytest

from mmpose_mspn.new_dataset.coco_file import find_category
from mmpose_mspn.new_dataset.converters import convert_annotations, recognize_format

CVAT = '''<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><labels>
    <label><name>arm</name><type>skeleton</type><svg>&lt;line data-type="edge" data-node-from="2"
      data-node-to="1"&gt;&lt;/line&gt;&lt;circle data-node-id="1" data-label-name="tip"&gt;&lt;/circle&gt;&lt;circle
      data-node-id="2" data-label-name="base"&gt;&lt;/circle&gt;</svg></label>
    <label><name>tip</name><type>points</type><parent>arm</parent></label>
    <label><name>base</name><type>points</type><parent>arm</parent></label>
    <label><name>plate</name><type>rectangle</type></label>
  </labels></job></meta>
  <image id="0" name="day 1/a.jpg" width="640" height="480">
    <skeleton label="arm" source="manual" z_order="0">
      <points label="base" source="manual" outside="0" occluded="1" points="20.50,30.00"></points>
      <points label="tip" source="manual" outside="0" occluded="0" points="10.00,12.25"></points>
    </skeleton>
    <skeleton label="arm" source="manual" z_order="0" group_id="4">
      <points label="tip" source="manual" outside="1" occluded="0" points="1.00,2.00"></points>
      <points label="base" source="manual" outside="0" occluded="0" points="300.00,200.00"></points>
    </skeleton>
    <box label="plate" source="manual" occluded="0" xtl="250.0" ytl="150.0" xbr="350.0" ybr="260.0" group_id="4"></box>
  </image>
  <image id="1" name="b.jpg" width="640" height="480"></image>
</annotations>
'''


def converted(tmp_path: Path, source: Path, **options) -> dict:
    convert_annotations(source, tmp_path / 'coco.json', **options)
    return json.loads((tmp_path / 'coco.json').read_text())


def written(tmp_path: Path, name: str, content) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')
    return path


def objects(content: dict) -> list:
    """File name, category, keypoints and box of each annotation."""
    images = {image['id']: image['file_name'] for image in content['images']}
    names = {category['id']: category['name'] for category in content['categories']}
    return [(images[entry['image_id']], names[entry['category_id']], entry['keypoints'], entry['bbox'])
            for entry in content['annotations']]


def test_cvat(tmp_path):
    path = written(tmp_path, 'annotations.xml', CVAT)
    content = converted(tmp_path, path)
    assert recognize_format(path) == 'cvat'
    assert objects(content) == [
        ('day 1/a.jpg', 'arm', [10, 12.25, 2, 20.5, 30, 1], [0, 0, 0, 0]),
        ('day 1/a.jpg', 'arm', [1, 2, 0, 300, 200, 2], [250, 150, 100, 110]),
    ]
    assert content['images'][1] == dict(id=2, file_name='b.jpg', width=640, height=480)
    category = find_category(content, 'coco.json')
    assert category.keypoints == ('tip', 'base') and category.skeleton == ((1, 0), )


def test_cvat_points_without_a_skeleton(tmp_path):
    points = '<points label="{}" occluded="0" points="{},20"></points>'
    image = '<image id="0" name="a.jpg" width="64" height="48">{}</image>'
    box = '<box label="arm" occluded="0" xtl="0" ytl="0" xbr="30" ybr="40"></box>'
    text = '<annotations>' + image.format(points.format('tip', 10) + points.format('base', 20) + box) + '</annotations>'
    assert objects(converted(tmp_path, written(tmp_path, 'a.xml', text))) == [
        ('a.jpg', 'arm', [10, 20, 2, 20, 20, 2], [0, 0, 30, 40])]


@pytest.mark.parametrize('text, message', [
    ('<annotations><track id="0"/></annotations>', 'is a CVAT file of a video: export it as "CVAT for images 1.1"'),
    ('<annotations></annotations>', 'has no images of CVAT'), ('<annotation>', 'is not XML'),
    ('<annotations><image name="a"><skeleton label="x"><points label="y"/></skeleton></image></annotations>',
     "the point y has the position '', which must be x,y"),
])
def test_other_xml_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        converted(tmp_path, written(tmp_path, 'a.xml', text))


# ---------------------------------------------------------------- Label Studio


def region(kind: str, label: str, number: str, **changes) -> dict:
    value = {kind: [label], 'x': 25, 'y': 50, 'width': 0.5, **changes.pop('value', {})}
    return dict(id=number, type=kind, original_width=640, original_height=480, image_rotation=0, value=value,
                from_name='kp', to_name='img', **changes)


def task(*results, image: str = '/data/upload/3/0a1b2c3d-a.jpg') -> dict:
    return dict(id=9, data=dict(img=image), annotations=[
        dict(was_cancelled=True, result=[]), dict(was_cancelled=False, result=list(results))], predictions=[])


def rectangle(label: str, number: str, x: float, width: float = 20) -> dict:
    return region('rectanglelabels', label, number, value=dict(x=x, y=40, width=width, height=20))


def test_label_studio(tmp_path):
    """Keypoints by their parent, by a relation, and by the box around them; percents of 640 × 480 px."""
    tasks = [
        task(rectangle('arm', 'box1', 20), region('keypointlabels', 'tip', 'p1', parentID='box1'),
             rectangle('arm', 'box2', 60), region('keypointlabels', 'base', 'p2', value=dict(x=75)),
             dict(type='relation', from_id='p2', to_id='box2', direction='right')),
        task(rectangle('arm', 'box3', 20), region('keypointlabels', 'base', 'p3'),
             image='http://host/data/local-files/?d=day%201/b.png'),
        task(image='s3://bucket/c.jpg'),
    ]
    path = written(tmp_path, 'project.json', tasks)
    content = converted(tmp_path, path)
    assert recognize_format(path) == 'label-studio'
    box = [128, 192, 128, 96]
    assert objects(content) == [
        ('data/upload/3/0a1b2c3d-a.jpg', 'arm', [160, 240, 2, 0, 0, 0], box),
        ('data/upload/3/0a1b2c3d-a.jpg', 'arm', [0, 0, 0, 480, 240, 2], [384, 192, 128, 96]),
        ('day 1/b.png', 'arm', [0, 0, 0, 160, 240, 2], box),
    ]
    assert content['images'][2] == dict(id=3, file_name='c.jpg')


@pytest.mark.parametrize('results, message', [
    ([rectangle('arm', 'a', 20), rectangle('arm', 'b', 22), region('keypointlabels', 'tip', 'p')],
     'the keypoint tip at 160, 240 lies in 2 boxes, so its object is not clear: group it'),
    ([region('keypointlabels', 'tip', 'p'), region('keypointlabels', 'tip', 'q')],
     'has the keypoint tip more than once in an object'),
    ([dict(region('keypointlabels', 'tip', 'p'), original_width=None)], 'does not give one size of image'),
    ([region('keypointlabels', 'tip', 'p', value=dict(keypointlabels=[]))], 'region p has no label'),
    ([], 'the file holds no keypoints'),
    ([dict(type='keypointlabels', original_width=1, original_height=1)], 'is not a whole file of label-studio'),
])
def test_tasks_that_are_not_clear_are_refused(results, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        converted(tmp_path, written(tmp_path, 'project.json', [task(*results)]))


# ---------------------------------------------------------------- labelme


def shape(label: str, *points, kind: str = 'point', group=None, **flags) -> dict:
    return dict(label=label, points=list(points), group_id=group, shape_type=kind, flags=flags, description='')


def labelme(*shapes, image: str = 'a.jpg') -> dict:
    return dict(version='5.4.1', flags={}, shapes=list(shapes), imagePath=image, imageData=None, imageHeight=480,
                imageWidth=640)


def test_labelme(tmp_path):
    """Objects by group, by the box around a point, and the one object of an image."""
    written(tmp_path, 'json/1.json', labelme(
        shape('tip', [10, 20], group=1), shape('base', [30, 40], group=1, occluded=True),
        shape('tip', [110, 120], group=2), shape('arm', [200, 190], [100, 90], kind='rectangle', group=2),
        shape('rim', [1, 1], [2, 2], kind='line'), image='..\\images\\a.jpg'))
    written(tmp_path, 'json/2.json', labelme(
        shape('arm', [0, 0], [50, 50], kind='rectangle'), shape('arm', [60, 60], [90, 90], kind='rectangle'),
        shape('tip', [5, 6]), shape('tip', [70, 80])))
    written(tmp_path, 'json/3.json', labelme(shape('base', [7, 8]), shape('tip', [1, 2])))
    written(tmp_path, 'json/other.json', {})
    assert recognize_format(tmp_path / 'json') == 'labelme'
    found = objects(converted(tmp_path, tmp_path / 'json', keypoints=['base', 'tip']))
    assert found == [
        ('../images/a.jpg', 'object', [30, 40, 1, 10, 20, 2], [0, 0, 0, 0]),
        ('../images/a.jpg', 'arm', [0, 0, 0, 110, 120, 2], [100, 90, 100, 100]),
        ('a.jpg', 'arm', [0, 0, 0, 5, 6, 2], [0, 0, 50, 50]),
        ('a.jpg', 'arm', [0, 0, 0, 70, 80, 2], [60, 60, 30, 30]),
        ('a.jpg', 'object', [7, 8, 2, 1, 2, 2], [0, 0, 0, 0]),
    ]


def test_the_order_of_keypoints_is_that_of_the_file_unless_given(tmp_path):
    path = written(tmp_path, 'a.json', labelme(shape('b', [1, 1]), shape('a', [2, 2])))
    assert converted(tmp_path, path)['categories'][0]['keypoints'] == ['b', 'a']
    with pytest.raises(ValueError, match='has a keypoint b, which --keypoints does not name'):
        converted(tmp_path, path, keypoints=['a'], force=True)


@pytest.mark.parametrize('content, message', [
    ({}, 'is neither the XML of "CVAT for images", nor JSON of Label Studio, labelme or tools/infer.py'),
    ([1], 'is neither'), ('{', 'is not JSON'),
])
def test_files_of_no_known_format_are_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        converted(tmp_path, written(tmp_path, 'a.json', content))


def test_empty_folders_and_missing_files_are_refused(tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='holds no file of labelme'):
        converted(tmp_path, tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='none.xml does not exist'):
        converted(tmp_path, tmp_path / 'none.xml')


# ---------------------------------------------------------------- predictions


def predictions() -> dict:
    """As tools/infer.py writes them."""
    instance = dict(bbox=[5., 5., 50., 40.], bbox_score=1., score=1.1, keypoints=[[10.5, 20.25, 1.4], [30., 40., 0.6]])
    return dict(keypoint_names=['tip', 'base'], skeleton=[[0, 1]],
                images=[dict(image='a.jpg', width=640, height=480, instances=[instance])])


def ann_file(tmp_path: Path, **changes) -> Path:
    return written(tmp_path, 'val.json', dict(
        dict(images=[dict(id=31, file_name='day 1/a.jpg')], annotations=[],
             categories=[dict(id=7, name='arm', keypoints=['tip', 'base'])]), **changes))


def test_predictions_as_coco_results(tmp_path):
    path = written(tmp_path, 'predictions.json', predictions())
    found = converted(tmp_path, path, to='coco-results', ann_file=ann_file(tmp_path))
    assert found == [dict(image_id=31, category_id=7, bbox=[5, 5, 50, 40], score=1.1,
                          keypoints=[10.5, 20.25, 1.4, 30, 40, 0.6])]


@pytest.mark.parametrize('changes, message', [
    (dict(images=[]), 'lists the image a.jpg 0 times'),
    (dict(images=[dict(id=1, file_name='x/a.jpg'), dict(id=2, file_name='y/a.jpg')]), 'lists the image a.jpg 2 times'),
    (dict(categories=[dict(id=7, name='arm', keypoints=['base', 'tip'])]), r'has other keypoints \(base, tip\) than'),
])
def test_results_need_the_ids_of_their_images(changes, message, tmp_path):
    path = written(tmp_path, 'predictions.json', predictions())
    with pytest.raises(ValueError, match=message):
        converted(tmp_path, path, to='coco-results', ann_file=ann_file(tmp_path, **changes))
    with pytest.raises(ValueError, match='needs --ann-file'):
        converted(tmp_path, path, to='coco-results')


def test_predictions_for_cvat_come_back_from_it(tmp_path):
    """The keypoint with a score below the threshold is outside."""
    path = written(tmp_path, 'predictions.json', predictions())
    convert_annotations(path, tmp_path / 'annotations.xml', to='cvat', label='arm', threshold=0.7)
    assert objects(converted(tmp_path, tmp_path / 'annotations.xml')) == [
        ('a.jpg', 'arm', [10.5, 20.25, 2, 30, 40, 0], [0, 0, 0, 0])]


def test_predictions_as_annotations_to_correct(tmp_path):
    path = written(tmp_path, 'predictions.json', predictions())
    content = converted(tmp_path, path, label='arm')
    assert objects(content) == [('a.jpg', 'arm', [10.5, 20.25, 2, 30, 40, 0], [5, 5, 50, 40])]
    assert find_category(content, 'coco.json').skeleton == ((0, 1), )


def test_only_predictions_go_to_other_formats_and_nothing_is_overwritten(tmp_path):
    path = written(tmp_path, 'annotations.xml', CVAT)
    with pytest.raises(ValueError, match='--to cvat is for predictions.json of tools/infer.py, and .* is of cvat'):
        converted(tmp_path, path, to='cvat')
    converted(tmp_path, path)
    with pytest.raises(FileExistsError, match='overwrite it with --force'):
        converted(tmp_path, path)
