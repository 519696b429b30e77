"""Packaging of mmreid. Configs and tools travel inside the package as ``mmreid/.mim``, as in OpenMMLab's packages."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ('configs', 'tools', 'model-index.yml', 'dataset-index.yml')


def requirements(name: str) -> list:
    """Lines of ``requirements/<name>.txt`` without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def version() -> str:
    scope: dict = {}
    exec((ROOT / 'mmreid' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


class BuildWithMim(build_py):
    """Copy what is shipped into ``<build>/mmreid/.mim``; an editable install links it instead."""

    def run(self) -> None:
        super().run()
        editable = getattr(self, 'editable_mode', False)
        folder = (ROOT if editable else Path(self.build_lib)) / 'mmreid' / '.mim'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in SHIPPED:
            source, target = ROOT / name, folder / name
            if editable:
                target.symlink_to(source.resolve(), target_is_directory=source.is_dir())
            elif source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
            else:
                shutil.copy2(source, target)


if __name__ == '__main__':
    setup(
        name='mmreid',
        version=version(),
        description='Transfer learning for person re-identification, in OpenMMLab style',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        keywords=['person re-identification', 'transfer learning', 'computer vision'],
        python_requires='>=3.10',
        packages=find_packages(include=['mmreid', 'mmreid.*']),
        package_data={'mmreid': ['py.typed']},
        install_requires=requirements('runtime'),
        extras_require={name: requirements(name) for name in ('tests', 'optional', 'docs')},
        cmdclass={'build_py': BuildWithMim},
        classifiers=[
            'Development Status :: 4 - Beta',
            'Intended Audience :: Science/Research',
            'Programming Language :: Python :: 3',
            'Topic :: Scientific/Engineering :: Artificial Intelligence',
            'Typing :: Typed',
        ],
        zip_safe=False)
