"""Compiles kernels for the simulator with g++, found when it is needed, and keeps the result."""
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

from minichain._atomic import open_atomically
from minichain.errors import DeviceError
from minichain.gpu.sources import cache_folder

FOLDER = pathlib.Path(__file__).parent
FLAGS = ('-std=c++17', '-O1', '-g1', '-fPIC', '-U_FORTIFY_SOURCE', '-fno-strict-aliasing',
         '-Wall', '-Wno-unused')
# By sanitizer: flags of the kernels, flags of the scheduler, flags of the linker.
VARIANTS = {
    None: ((), ('-DCUSIM_PLAIN',), ('-shared',)),
    'address': (('-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'),
                ('-DCUSIM_ADDRESS_SANITIZER',), ('-fsanitize=address,undefined',)),
    'thread': (('-fsanitize=thread',), ('-DCUSIM_THREAD_SANITIZER',), ('-fsanitize=thread',)),
}
SECONDS = 300   # that one run of the compiler may take


@functools.cache
def compiler():
    """Return (path of g++, its version).

    Raises:
        DeviceError: there is none.
    """
    path = shutil.which('g++')
    if path is None:
        raise DeviceError('the simulator compiles kernels with g++, which is not on the PATH. '
                          'Install it (Debian, Ubuntu: apt install g++)')
    return path, subprocess.run([path, '-dumpfullversion', '-dumpmachine'], text=True, check=True,
                                capture_output=True).stdout


def run_compiler(arguments, what, folder):
    """Run g++ in a folder.

    Raises:
        DeviceError: it found an error in ``what``, or took too long.
    """
    try:
        done = subprocess.run([compiler()[0], *arguments], cwd=folder, text=True,
                              capture_output=True, timeout=SECONDS, errors='replace')
    except subprocess.TimeoutExpired:
        raise DeviceError(f'{what}: g++ was not done after {SECONDS} seconds') from None
    if done.returncode:
        raise DeviceError(f'{what} does not compile for the simulator:\n{done.stderr}')


def wrapper(file):
    """Return C++ that includes a kernel file and lists its kernels for the scheduler."""
    lines = ['#include "cusim.h"', '#include "scheduler.h"', f'#include "{file.name}"']
    kernels = file.entry_points()
    for name, parameters in kernels.items():
        types = [f'{p.c_type} {"*" * p.pointer}' for p in parameters]
        arguments = ', '.join(f'*({c_type}*)a[{i}]' for i, c_type in enumerate(types))
        lines += [f'static void call_{name}(void **a) {{ {name}({arguments}); }}',
                  f'static const int sizes_{name}[] = '
                  f'{{{", ".join(f"sizeof({c_type})" for c_type in types)}}};']
    table = ', '.join(f'{{"{name}", call_{name}, {len(kernels[name])}, sizes_{name}}}'
                      for name in kernels)
    lines += [f'const Entry cusim_entries[] = {{{table}}};',
              f'const int cusim_entry_count = {len(kernels)};', '']
    return '\n'.join(lines)


def cached(name, digest, make):
    """Return the path of a file in the cache; ``make(folder)`` returns the path of a new one."""
    path = cache_folder('simulator') / f'{name}.{digest}'
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            data = make(pathlib.Path(folder)).read_bytes()
        with open_atomically(path) as file:
            file.write(data)
            os.chmod(file.name, 0o700)   # before it is there: others may be about to run it
    return path


def own_digest():
    """Return what the simulator's own files and the compiler are, as one string."""
    texts = [path.read_text() for path in sorted(FOLDER.iterdir())
             if path.suffix in ('.h', '.cpp')]
    return ''.join([*texts, compiler()[1], *FLAGS, repr(VARIANTS)])


def scheduler_object(file, sanitizer, source):
    """Return the path of scheduler.cpp or host.cpp, compiled."""
    def make(folder):
        run_compiler([*FLAGS, *VARIANTS[sanitizer][1], '-O2', '-c', str(FOLDER / source), '-o',
                      'out.o'], source, folder)
        return folder / 'out.o'
    digest = file._replace(name='', text='', headers={}).digest(own_digest(), str(sanitizer))
    return cached(source, f'{digest}.o', make)


def build(file, sanitizer=None):
    """Return the path of a kernel file compiled for the simulator.

    Args:
        file: :class:`~minichain.gpu.sources.KernelFile`.
        sanitizer: None for a shared library; 'address' (with undefined behaviour) or 'thread' for
            a program.
    Raises:
        DeviceError: g++ is missing, lacks the sanitizer, or finds an error.
    """
    kernel_flags, _, link_flags = VARIANTS[sanitizer]

    def make(folder):
        for name, text in {**file.headers, file.name: file.text,
                           'wrapper.cpp': wrapper(file)}.items():
            (folder / name).write_text(text)
        # Messages name files as they are called here, not by the folder of this build.
        run_compiler([*FLAGS, *kernel_flags, f'-I{FOLDER}', f'-ffile-prefix-map={folder}{os.sep}=',
                      f'-fdebug-prefix-map={folder}=.', '-c', 'wrapper.cpp', '-o', 'wrapper.o'],
                     file.name, folder)
        sources = ['scheduler.cpp'] + ['host.cpp'] * (sanitizer is not None)
        objects = [str(scheduler_object(file, sanitizer, source)) for source in sources]
        run_compiler(['wrapper.o', *objects, *link_flags, '-o', 'out'], file.name, folder)
        return folder / 'out'
    return cached(file.name, file.digest(own_digest(), str(sanitizer)), make)


@functools.cache
def missing(sanitizer=None):
    """Return why a variant of the simulator cannot be used here, None if it can."""
    try:
        path, _ = compiler()
    except DeviceError as error:
        return str(error)
    if sanitizer is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / 'empty.cpp'
        source.write_text('int main() { return 0; }\n')
        try:
            run_compiler([str(source), *VARIANTS[sanitizer][2], '-o', 'empty'], 'a test', folder)
            subprocess.run([*prefix(), os.path.join(folder, 'empty')], check=True, timeout=60,
                           capture_output=True)
        except (DeviceError, OSError, subprocess.SubprocessError) as error:
            return f'{path} has no working {sanitizer} sanitizer here: {error}'
    return None


@functools.cache
def prefix():
    """Return the command that runs a program at fixed addresses, which old sanitizers want."""
    command = [shutil.which('setarch') or 'setarch', '-R']
    try:
        subprocess.run([*command, 'true'], check=True, timeout=60, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(command)
