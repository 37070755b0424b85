"""The table of what tools/new_dataset.py found and assumed."""
from textwrap import indent
from typing import Iterator, List, Sequence, Tuple

from mmpose_mspn.checkpoints.transfer_keypoints import origins_table
from mmpose_mspn.new_dataset.config_file import COLOR_STEP
from mmpose_mspn.new_dataset.dataset import NewDataset, best_metric
from mmpose_mspn.new_dataset.objects import VAL_SHARE
from mmpose_mspn.new_dataset.plan import (
    ASPECTS,
    FEW_TIMES,
    MANY_OBJECTS,
    NETWORKS,
    SHARE_WITH_WEIGHTS,
    VALIDATIONS,
    WARMUP_SHARE,
    times_seen,
)
from mmpose_mspn.utils.arguments import first_few

Row = Tuple[str, str, str]
"""What it is, its value, and where it comes from or which rule gives it."""
MOST_NAMES = 8
"""Names that a row shows."""


def summary(dataset: NewDataset) -> str:
    """A table of what was found, one of what was assumed, and where the keypoints of a checkpoint go."""
    parts = ['found', _table(list(_found(dataset))), '', 'assumed', _table(list(_assumed(dataset)))]
    if dataset.start:
        parts += ['', f'keypoints from {dataset.start.path}', indent(origins_table(dataset.start.origins), '  ')]
    return '\n'.join(parts)


def _found(dataset: NewDataset) -> Iterator[Row]:
    category, pairs = dataset.category, dataset.pairs
    yield 'category', category.name, f'id {category.id}'
    yield 'keypoints', str(len(category.keypoints)), _names(category.keypoints)
    yield 'skeleton', f'{len(category.skeleton)} links', ''
    count = len(pairs.pairs) - pairs.from_names
    from_options = f', {count} from --pairs' if count else ''
    yield ('flip pairs', str(len(pairs.pairs)),
           f'{pairs.from_names} from left and right in names' + from_options
           + (f': {_names(["=".join(pair) for pair in pairs.pairs])}' if pairs.pairs else ''))
    yield 'training', _counted(dataset.train), ''
    held_out = '' if dataset.options.val else f'{dataset.options.val_share or VAL_SHARE:.0%} of the images, held out'
    yield 'validation', _counted(dataset.val), held_out
    for name, field in (('filled in', 'filled_in'), ('left out', 'left_out')):
        counts = [getattr(dataset.train, field)]
        if dataset.options.val:  # else both parts share the counts of their file
            counts.append(getattr(dataset.val, field))
        text = '; '.join(f'{what} ({count})' for part in counts for what, count in part.items() if count)
        if text:
            yield name, text, ''


def _assumed(dataset: NewDataset) -> Iterator[Row]:
    plan, sigmas, pairs = dataset.plan, dataset.sigmas, dataset.pairs
    objects = len(dataset.train.objects)
    if pairs.can_flip:
        yield 'flips', 'on', 'mirrored crops in training and in tests'
    elif pairs.pairs:
        yield ('flips', 'OFF', f'these names may hide more pairs: {_names(pairs.doubts)}; name them with --pairs A=B '
               '(--pairs alone: there are no more)')
    else:
        yield ('flips', 'OFF', 'no pairs of left and right'
               + (f', though these names may hide some: {_names(pairs.doubts)}' if pairs.doubts else '')
               + '; name them with --pairs A=B')
    yield ('sigmas', f'{sigmas.default:g} for {len(sigmas.assumed)}' if sigmas.assumed else 'known',
           f'COCO has no {_names(sigmas.assumed)}; AP depends on it, PCK does not' if sigmas.assumed else '')
    yield 'best checkpoint', f'by {best_metric(sigmas)}', 'measured: AP, and PCK at 0.1 of the box'
    yield ('half bodies', 'on' if dataset.upper_ids and plan.full_augmentation else 'off',
           'the upper and the lower half are known' if dataset.upper_ids else
           'needs COCO names for all keypoints, 4 of each half of the body')
    yield ('occlusion', 'told apart' if dataset.visibility == 'official' else 'not told apart',
           '' if dataset.visibility == 'official' else 'no keypoint has visibility 2')
    width, height = plan.input_size
    yield ('crop', f'{width} × {height} px', f'{plan.aspect} of {", ".join(ASPECTS)} fits the boxes best, whose median '
           f'width / height is {dataset.median_aspect:.2f}')
    yield 'network', _network(dataset), _network_rule(dataset)
    *schedules, longest = NETWORKS[plan.network].schedules
    rows = ', '.join(f'{row.objects:.0f} objects: {row.iterations}' for row in schedules)
    yield ('iterations', str(plan.max_iters), f'up to {rows}, more: {longest.iterations}'
           + (f'; × {SHARE_WITH_WEIGHTS:.2f} with weights to start from' if dataset.start else ''))
    yield ('warm-up', f'{plan.warmup_iters} iterations',
           f'1/{1 / WARMUP_SHARE:.0f} of them; then lr {plan.lr:g} for {plan.batch_size} objects, falling to 0')
    yield 'validation', f'every {plan.val_interval} iterations', f'{VALIDATIONS} times'
    times = times_seen(plan.max_iters, plan.batch_size, objects)
    yield ('augmentation', 'full' if plan.full_augmentation else 'flips only',
           f'each object is seen {times:.0f} times; full from {FEW_TIMES} times on')
    if plan.full_augmentation:
        yield 'colors', 'varied', f'remove {COLOR_STEP} from the config if only color tells keypoints apart'


def _network(dataset: NewDataset) -> str:
    if dataset.start:
        stages, encoder = dataset.plan.backbone['num_stages'], dataset.plan.backbone['encoder']
        return f'{stages} stage{"s" if stages > 1 else ""}, ResNet-{encoder["depth"]}'
    return f'{dataset.plan.network}: {NETWORKS[dataset.plan.network].described}'


def _network_rule(dataset: NewDataset) -> str:
    if dataset.start:
        return 'of the checkpoint'
    if dataset.options.network:
        return 'from --network'
    return f'small without a GPU; with one, medium up to {MANY_OBJECTS} objects, then large'


def _counted(part) -> str:
    images = {entry['image_id'] for entry in part.objects}
    return f'{len(part.objects)} objects in {len(images)} images'


def _names(items: Sequence[str]) -> str:
    return first_few(items, MOST_NAMES)


def _table(rows: List[Row]) -> str:
    """Three columns; a long value takes the room of the third column."""
    first = max(len(row[0]) for row in rows)
    second = max((len(row[1]) for row in rows if row[2]), default=0)
    return '\n'.join(f'  {name:<{first}}  {value:<{second}}  {why}'.rstrip() for name, value, why in rows)
