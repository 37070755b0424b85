"""Packaging of mmpose_mspn."""
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    scope: dict = {}
    exec((ROOT / 'mmpose_mspn' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def requirements(name: str) -> list:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith('#')]


setup(
    name='mmpose_mspn',
    version=version(),
    description='MSPN, the multi-stage pose network, for mmpose: faithful to the paper and fast',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='The mmpose_mspn authors',
    license='Apache-2.0',
    packages=find_packages(include=['mmpose_mspn', 'mmpose_mspn.*']),
    py_modules=['mspn_runtime'],
    # OpenMMLab's mim looks for these in the package. They are links in the repository and copies in a wheel.
    package_data={
        'mmpose_mspn': ['.mim/model-index.yml', '.mim/configs/**/*.py', '.mim/configs/**/*.yml', '.mim/tools/*',
                        'diagnosis/page/*']
    },
    # Tools that only serve the repository stay out of the wheel.
    exclude_package_data={'mmpose_mspn': ['.mim/tools/make_model_table.py', '.mim/tools/model_costs.py',
                                          '.mim/tools/setup_env.sh']},
    python_requires='>=3.10,<3.13',
    install_requires=requirements('runtime'),
    extras_require={'detector': requirements('detector'), 'diagnose': requirements('diagnose'),
                    'export': requirements('export'), 'openvino': requirements('openvino'),
                    'runtime': requirements('onnxruntime'), 'tests': requirements('tests')},
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
)
