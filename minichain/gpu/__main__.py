"""``python -m minichain.gpu warmup``: compile all kernels before they are first used."""
import argparse
import sys
import time

from minichain.backend import check_cuda_available, import_cupy
from minichain.errors import MinichainError
from minichain.gpu import nvrtc, sources
from minichain.gpu.cuda_machine import architecture


def present_architectures():
    """Return the compute capabilities of all GPUs here, as (90,).

    Raises:
        DeviceError: there is no usable GPU, with the reason.
    """
    check_cuda_available()
    cuda = import_cupy().cuda
    count = cuda.runtime.getDeviceCount()
    return tuple(sorted({architecture(cuda.Device(number)) for number in range(count)}))


def warm_up(numbers):
    """Compile every kernel file for compute capabilities, and say where the results are."""
    for number in numbers:
        for file in sources.kernel_files().values():
            start = time.perf_counter()
            path = nvrtc.cubin_path(file, number)
            print(f'{path}  {path.stat().st_size >> 10} KiB  {time.perf_counter() - start:.2f} s')


def main(arguments=None):
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(prog='python -m minichain.gpu', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    warmup = commands.add_parser('warmup', help='compile all kernels for the GPUs of this machine')
    warmup.add_argument('--arch', type=int, action='append', metavar='90',
                        help='compile for this compute capability instead; needs no GPU')
    options = parser.parse_args(arguments)
    try:
        warm_up(options.arch or present_architectures())
    except MinichainError as error:
        print(f'python -m minichain.gpu: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
