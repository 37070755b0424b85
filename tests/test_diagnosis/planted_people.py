"""People with keypoints on a wide grid, and predictions of them with errors in known places."""
import contextlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np
from xtcocotools.coco import COCO as CocoFile
from xtcocotools.cocoeval import COCOeval

from mmpose_mspn.diagnosis.people import KeypointSet, Predictions, Truth
from mmpose_mspn.diagnosis.sources import read_coco_truth, read_results

COCO_SIGMAS = (.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089)
COCO = KeypointSet(
    names=('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
           'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
           'right_ankle'),
    sigmas=np.array(COCO_SIGMAS),
    flip=np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]),
    links=((5, 7), (7, 9), (11, 13)),
    regions={'upper body': tuple(range(11)), 'lower body': tuple(range(11, 17))})
HANDS = KeypointSet(
    names=('tail', 'left_fin', 'right_fin', 'left_eye', 'right_eye', 'mouth'),
    sigmas=np.array([.05, .08, .08, .03, .03, .06]),
    flip=np.array([0, 2, 1, 4, 3, 5]))
SETS = {'K = 17': COCO, 'K = 6': HANDS}

STEP = 70.
"""px between keypoints of a person: at this area, ks of neighbors is far below 0.5."""
AREA = 10_000.
PERSON = 500.
"""px between people of an image."""


def grid(count: int) -> np.ndarray:
    """(count, 2) places around (0, 0)."""
    return np.array([(index % 5 * STEP, index // 5 * STEP) for index in range(count)])


def distance(similarity: float, sigma: float) -> float:
    """px from the truth at which a keypoint has this similarity, by COCO's formula solved for d."""
    return float(np.sqrt(-2 * AREA * (2 * sigma)**2 * np.log(similarity)))


@dataclass
class Planted:
    """Annotations and predictions that are written as files.

    Attributes:
        keypoints: The keypoints.
        images: COCO's entries.
        annotations: COCO's entries.
        results: COCO's results.
        kinds: By the index of a result, the K kinds of errors that were planted, ``None`` where not labeled.
    """
    keypoints: KeypointSet
    images: List[dict] = field(default_factory=list)
    annotations: List[dict] = field(default_factory=list)
    results: List[dict] = field(default_factory=list)
    kinds: Dict[int, list] = field(default_factory=dict)

    def image(self, **changes) -> int:
        """A new image; its id."""
        number = len(self.images) + 1
        self.images.append(dict(dict(id=number, file_name=f'{number}.jpg', width=2000, height=2000), **changes))
        return number

    def person(self, image: int, place: Sequence[float], visible: Sequence[int] = (), **changes) -> dict:
        """A new person, whose keypoints begin at a place."""
        points = grid(len(self.keypoints)) + np.array(place)
        visible = np.array(visible or [2] * len(self.keypoints))
        low, high = points.min(0), points.max(0)
        annotation = dict(
            id=100 + len(self.annotations), image_id=image, category_id=1, iscrowd=0, area=AREA,
            bbox=[*low.tolist(), *(high - low).tolist()], num_keypoints=int((visible > 0).sum()),
            keypoints=np.concatenate([np.where(visible[:, None] > 0, points, 0), visible[:, None]], 1).ravel().tolist())
        annotation.update(changes)
        self.annotations.append(annotation)
        return annotation

    def predict(self, annotation: dict, errors: Dict[int, tuple] = None, score: float = .9) -> dict:
        """A prediction of a person.

        Args:
            annotation: The person.
            errors: By keypoint, the kind planted and the place predicted (x, y).
            score: Its score.
        """
        truth = np.array(annotation['keypoints'], float).reshape(-1, 3)
        points, kinds = truth[:, :2].copy(), [('good' if seen else None) for seen in truth[:, 2]]
        for index, (kind, place) in (errors or {}).items():
            points[index], kinds[index] = place, kind
        self.kinds[len(self.results)] = kinds
        return self.add_result(annotation['image_id'], points, score)

    def add_result(self, image: int, points: np.ndarray, score: float) -> dict:
        """A prediction that matches no person yet."""
        scored = np.concatenate([points, np.full((len(points), 1), .8)], 1)
        self.results.append(dict(image_id=image, category_id=1, score=score, keypoints=scored.ravel().tolist()))
        return self.results[-1]

    def write(self, folder: Path) -> tuple:
        """The paths of the annotations and the results."""
        folder.mkdir(parents=True, exist_ok=True)
        content = dict(images=self.images, annotations=self.annotations, categories=[dict(id=1, name='person')])
        (folder / 'truth.json').write_text(json.dumps(content))
        (folder / 'results.json').write_text(json.dumps(self.results))
        return folder / 'truth.json', folder / 'results.json'


def load(planted: Planted, folder: Path, use_area: bool = True) -> Tuple[Truth, Predictions]:
    """The people and the predictions, from files that are written to a folder."""
    truth_file, results_file = planted.write(folder)
    truth = read_coco_truth(str(truth_file), '', planted.keypoints, use_area)
    return truth, read_results(str(results_file), truth, len(planted.keypoints))


def coco_evaluation(planted: Planted, folder: Path, use_area: bool = True, kind: type = COCOeval) -> COCOeval:
    """The COCO API's evaluation of the same people and predictions, before it is run."""
    truth_file, results_file = planted.write(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = CocoFile(str(truth_file))
        return kind(truth, truth.loadRes(str(results_file)), 'keypoints', planted.keypoints.sigmas, use_area)


def coco_stats(evaluation: COCOeval) -> np.ndarray:
    """The ten figures of the COCO API: AP, AP50, AP75, of medium and of large people, and the same of AR."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def place_of(annotation: dict, index: int) -> np.ndarray:
    return np.array(annotation['keypoints'][3 * index:3 * index + 2], float)


def crowd_of_errors(keypoints: KeypointSet, images: int = 12, seed: int = 0) -> Planted:
    """Two people an image, each with one planted error of every kind that its keypoints allow, in turn.

    Every third person has an unlabeled keypoint; besides, two people are missed and there are two false
    positives.
    """
    draw = np.random.default_rng(seed)
    planted = Planted(keypoints)
    paired = np.flatnonzero(keypoints.flip != np.arange(len(keypoints)))
    for number in range(images):
        image = planted.image()
        people = []
        for side in range(2):
            visible = [2] * len(keypoints)
            if number % 3 == 0:
                visible[0] = 0
            people.append(planted.person(image, (100 + side * PERSON, 100), visible))
        for side, (person, neighbor) in enumerate((people, people[::-1])):
            kind = ('jitter', 'inversion', 'swap', 'miss', 'good')[(number + side) % 5]
            index = int(draw.choice(paired[paired > 0]))
            angle = draw.uniform(0, 2 * np.pi)
            direction = np.array([np.cos(angle), np.sin(angle)])
            truth, sigma = place_of(person, index), keypoints.sigmas[index]
            swapped = (index, int(keypoints.flip[index]))[number % 2]
            place = dict(
                good=truth + direction * distance(.9, sigma),
                jitter=truth + direction * distance(.6, sigma),
                inversion=place_of(person, int(keypoints.flip[index])) + direction * distance(.8, sigma),
                swap=place_of(neighbor, swapped) + direction * distance(.7, sigma),
                miss=truth + direction * 3000)[kind]
            planted.predict(person, {index: (kind, place)}, score=float(draw.uniform(.3, 1)))
    for image in (1, 2):
        planted.person(image, (100, 1000))
        planted.add_result(image, grid(len(keypoints)) + [1000, 1500], score=.95)
    return planted
