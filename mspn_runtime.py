"""Keypoints from a model of ``mmpose_mspn.export`` with numpy, Pillow and onnxruntime or OpenVINO (docs/deploy.md)."""
import argparse
import json
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

WRITER, SOFTWARE = 'mspn_runtime', 0x0131  # what a written file names as its writer, and the EXIF tag for that


def read_image(path):
    """A picture file as (H, W, 3), BGR, uint8, turned upright by its EXIF orientation."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))[..., ::-1]


def box_regions(boxes, padding, size):
    """Centers and sizes, (N, 2) float32 image px, of the regions of boxes (x, y, width, height) that crops show."""
    boxes, aspect = np.asarray(boxes, np.float32), np.float32(size[0] / size[1])
    ends = boxes[:, :2] + boxes[:, 2:]
    width, height = ((ends - boxes[:, :2]) * np.asarray(padding, np.float32)).T
    wide = width > height * aspect
    sizes = np.stack([np.where(wide, width, height * aspect), np.where(wide, width / aspect, height)], 1)
    return (boxes[:, :2] + ends) / np.float32(2), sizes


def solve(matrix):
    """The solution (6,) of equations (6, 7), with the steps and so the rounding of OpenCV's solver."""
    for i in range(6):
        pivot = i + np.abs(matrix[i:, i]).argmax()
        matrix[[i, pivot]] = matrix[[pivot, i]]
        matrix[i + 1:] += (matrix[i + 1:, i] * (-1 / matrix[i, i]))[:, None] * matrix[i]
    solution = matrix[:, 6].copy()
    for i in range(5, -1, -1):
        for k in range(i + 1, 6):
            solution[i] -= matrix[i, k] * solution[k]
        solution[i] /= matrix[i, i]
    return solution


def cut(image, center, width, size):
    """The crop (3, h, w) of an image (H, W, 3), uint8, as mmpose's TopdownAffine cuts it with OpenCV 4, which rounds
    positions to 1/32 px; the rounding of its solver decides between two such positions."""
    (w, h), (x, y) = size, center
    left = np.float32(float(x) - float(width) / 2)
    source, target = [(x, y), (left, y), (left, y + (x - left))], [(w / 2, h / 2), (0, h / 2), (0, h / 2 + w / 2)]
    a, b, c, d, e, f = solve(np.array([row for (px, py), (u, v) in zip(source, target)
                                       for row in ([px, py, 1, 0, 0, 0, u], [0, 0, 0, px, py, 1, v])], np.float64))
    scale = 1 / (a * e - b * d)
    a, b, d, e = e * scale, b * -scale, d * -scale, a * scale
    c, f = -a * c - b * f, -d * c - e * f
    column, row = np.arange(w), np.arange(h)[:, None]
    x, y = ((np.rint(by_column * column * 1024) + np.rint((by_row * row + offset) * 1024) + 16).astype(np.int64) >> 5
            for by_column, by_row, offset in ((a, b, c), (d, e, f)))

    def pixels(rows, columns, weight):
        weight = weight * ((rows >= 0) & (rows < len(image)) & (columns >= 0) & (columns < image.shape[1]))
        rows, columns = rows.clip(0, len(image) - 1), columns.clip(0, image.shape[1] - 1)
        return image[rows, columns] * weight[..., None].astype(np.int32)

    x, y, right, down = x >> 5, y >> 5, x & 31, y & 31
    total = (pixels(y, x, (32 - right) * (32 - down)) + pixels(y, x + 1, right * (32 - down))
             + pixels(y + 1, x, (32 - right) * down) + pixels(y + 1, x + 1, right * down))
    return ((total + 512) >> 10).astype(np.uint8).transpose(2, 0, 1)


def with_onnxruntime(path, threads, precision, device=None):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    providers, (kind, _, index) = onnxruntime.get_available_providers(), (device or '').partition(':')
    if kind not in ('', 'cpu', 'cuda') or kind == 'cuda' and 'CUDAExecutionProvider' not in providers:
        raise ValueError(f'device {device} is not one of this onnxruntime, whose providers are {", ".join(providers)}')
    if kind:
        gpu = [('CUDAExecutionProvider', dict(device_id=int(index or 0)))] if kind == 'cuda' else []
        providers = [*gpu, 'CPUExecutionProvider']
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    return partial(session.run, ['keypoints', 'scores']), session.get_modelmeta().custom_metadata_map


def with_openvino(path, threads, precision, device=None):
    import openvino
    model = openvino.Core().read_model(path)
    run = openvino.compile_model(model, 'CPU', dict(INFERENCE_PRECISION_HINT=precision, INFERENCE_NUM_THREADS=threads))
    stored = model.get_rt_info()['framework'] if model.has_rt_info('framework') else {}
    stored = {key: model.get_rt_info(['framework', key]).value for key in stored}
    return lambda inputs: [outputs[name] for outputs in [run(inputs)] for name in ('keypoints', 'scores')], stored


class Pose:
    """A model of ``mmpose_mspn.export``: ``Pose('model.onnx')(image, boxes)``.

    ``backend``: ``'onnxruntime'`` or ``'openvino'``, default: the first that is installed; ``threads``: 0 leaves them
    to it; ``precision``: ``'f32'``, or ``'bf16'`` with OpenVINO; ``device`` of onnxruntime: ``'cpu'``, ``'cuda'`` or
    ``'cuda:1'``, default: the first GPU if there is one. ``metadata`` is all that the file says about itself.
    """

    def __init__(self, path, backend=None, threads=0, precision='f32', device=None):
        backend = backend or ('onnxruntime' if find_spec('onnxruntime') else 'openvino')
        if (backend, precision) not in (('onnxruntime', 'f32'), ('openvino', 'f32'), ('openvino', 'bf16')):
            raise ValueError(f'backend must be onnxruntime (f32) or openvino (f32, bf16), got {backend} ({precision})')
        if not Path(path).is_file():
            raise FileNotFoundError(f'model {path} does not exist: write it with tools/export.py')
        open_model = with_openvino if backend == 'openvino' else with_onnxruntime
        try:
            self.run, stored = open_model(str(path), threads, precision, device)
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # of classes of the backends, which are no errors of Python's own
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise ValueError(f'model {path} cannot be opened as a .onnx file of tools/export.py: {reason}') from error
        if (stored.get('format'), stored.get('format_version')) != ('mmpose_mspn', '1'):
            raise ValueError(f'model {path} is not of version 1 of mmpose_mspn.export: export it again')
        self.metadata = {key: json.loads(text) if text[:1] in ('[', '{') else text for key, text in stored.items()}
        self.names, self.skeleton = self.metadata['keypoint_names'], self.metadata['skeleton']
        self.flip_pairs = [[i, partner] for i, partner in enumerate(self.metadata['flip_indices']) if i < partner]
        self.input_size = tuple(self.metadata['input_size'])

    def __call__(self, image, boxes=None, batch_size=8):
        """(N, K, 3): x, y in image px and score. ``image``: a file, or (H, W, 3), BGR, uint8; ``boxes``: (N, 4), x, y,
        width, height in image px, default: the whole image; ``batch_size`` of them pass the network together."""
        image = np.ascontiguousarray(image if isinstance(image, np.ndarray) else read_image(image))
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f'image must be (H, W, 3), BGR, uint8, got {image.shape}, {image.dtype}')
        size = np.float32(image.shape[1::-1])
        boxes = np.float32([[0, 0, *size]] if boxes is None else boxes if len(boxes) else np.empty((0, 4)))
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all() or not (boxes[:, 2:] > 0).all():
            raise ValueError(f'boxes must be (N, 4), x, y, width > 0, height > 0, all finite, got {boxes}')
        if (boxes[:, :2] >= size).any() or (boxes[:, :2] + boxes[:, 2:] <= 0).any():
            raise ValueError(f'boxes must overlap the image of {image.shape[1]} x {image.shape[0]} px, got {boxes}')
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ValueError(f'batch_size must be an integer >= 1, got {batch_size!r}')
        people = np.empty((len(boxes), len(self.names), 3))
        for part in (slice(start, start + batch_size) for start in range(0, len(boxes), batch_size)):
            if self.metadata['input'] == 'image':
                people[part, :, :2], people[part, :, 2] = self.run(dict(image=image, boxes=boxes[part]))
                continue
            centers, sizes = box_regions(boxes[part], self.metadata['box_padding'], self.input_size)
            crops = np.stack([cut(image, center, width, self.input_size) for center, (width, _) in zip(centers, sizes)])
            keypoints, people[part, :, 2] = self.run(dict(crops=crops))
            people[part, :, :2] = (keypoints / np.float64(self.input_size) - 0.5) * sizes[:, None] + centers[:, None]
        return people


def check_out(out):
    """Refuse a name to which nothing can be written, or where a file lies that this program has not written."""
    path = Path(out)
    if not out.strip() or path.is_dir() or not path.parent.is_dir():
        raise ValueError(f'--out {out!r} must name a file in a folder that exists')
    if path.suffix.lower() not in ('.json', '.jpg', '.jpeg', '.png', '.tif', '.tiff', '.webp'):
        raise ValueError(f'--out {out} must end with .json, or with .jpg, .png, .tif or .webp for a drawing')
    if path.exists() and not is_own(path):
        raise ValueError(f'--out {out} exists, and this program has not written it: move it, or choose another name')


def is_own(path):
    """Whether this program has written a file."""
    try:
        if path.suffix.lower() == '.json':
            return json.loads(path.read_text())['writer'] == WRITER
        with Image.open(path) as picture:
            return picture.getexif().get(SOFTWARE) == WRITER
    except (ValueError, OSError, KeyError, TypeError):
        return False


def parse_box(text):
    """A box of the command line, x,y,width,height."""
    try:
        x, y, width, height = map(float, text.split(','))
    except ValueError:
        raise ValueError(f'--boxes takes X,Y,W,H in image px, such as 10,20,50,120, got {text!r}') from None
    return x, y, width, height


def draw(image, people, skeleton):
    """The image (H, W, 3), BGR, with the limbs of people (N, K, 3), as a picture of Pillow."""
    drawing = Image.fromarray(image[..., ::-1])
    for limb in people[:, skeleton].reshape(-1, 2, 3) if skeleton else ():
        if limb[:, 2].min() > 0.7:  # a fifth of a full peak
            ImageDraw.Draw(drawing).line(limb[:, :2].ravel().tolist(), fill='lime', width=2)
    return drawing


def main():
    parser = argparse.ArgumentParser(prog='mspn_runtime', description='Predict the keypoints of people in a picture.')
    parser.add_argument('model', help='.onnx file of tools/export.py')
    parser.add_argument('picture')
    parser.add_argument('--boxes', nargs='+', metavar='X,Y,W,H', help='in image px; default: the whole picture')
    parser.add_argument('--out', required=True, help='.json file for numbers, or picture file for a drawing')
    parser.add_argument('--backend', choices=('onnxruntime', 'openvino'), help='default: the first that is installed')
    parser.add_argument('--device', help='cpu, cuda or cuda:1; default: the first GPU if there is one')
    args = parser.parse_args()
    try:
        check_out(args.out)
        boxes = args.boxes and [parse_box(box) for box in args.boxes]
        pose, image = Pose(args.model, args.backend, device=args.device), read_image(args.picture)
        people = pose(image, boxes)
        if args.out.lower().endswith('.json'):
            content = dict(writer=WRITER, names=pose.names, skeleton=pose.skeleton, people=people.tolist())
            Path(args.out).write_text(json.dumps(content))
        else:
            drawing = draw(image, people, pose.skeleton)
            exif = drawing.getexif()
            exif[SOFTWARE] = WRITER
            drawing.save(args.out, exif=exif)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        raise SystemExit('error: ' + ' '.join(str(error).split())) from error


if __name__ == '__main__':
    main()
