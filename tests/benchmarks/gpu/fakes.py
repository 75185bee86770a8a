"""CUDA's clock and PyTorch's graphs without a GPU: what was called, and made-up times."""
import contextlib
import types


class Gpu:
    """A timeline: kernels that are started take time; ``log`` has what happened."""

    def __init__(self):
        self.now, self.log, self.allocated = 0., [], 0
        self.streams = [None]   # of torch, the current one last

    def work(self, milliseconds):
        """Do what a kernel does."""
        self.now += milliseconds

    def cupy(self):
        """Return what CudaClock uses of CuPy."""
        gpu = self

        class Event:
            def record(self):
                gpu.log.append('record')
                self.at = gpu.now

            def synchronize(self):
                gpu.log.append('synchronize')
        cuda = types.SimpleNamespace(
            Event=Event, get_elapsed_time=lambda start, end: end.at - start.at,
            runtime=types.SimpleNamespace(deviceSynchronize=lambda: gpu.log.append('finish')))
        return types.SimpleNamespace(cuda=cuda)

    def torch(self, kernels_in_a_call=3):
        """Return what benchmarks use of torch on a GPU."""
        gpu = self

        class Stream:
            def wait_stream(self, other):
                gpu.log.append('wait')

        class CUDAGraph:
            def replay(self):
                gpu.log.append('replay')

        @contextlib.contextmanager
        def region(name, stream):
            gpu.log.append(f'{name} begins')
            gpu.streams.append(stream)
            yield
            gpu.streams.pop()
            gpu.log.append(f'{name} ends')

        class Profile:
            def __init__(self, activities):
                assert activities == ['gpu']

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def events(self):
                on_gpu = [types.SimpleNamespace(device_type='on GPU')] * kernels_in_a_call
                return [*on_gpu, types.SimpleNamespace(device_type='on CPU')]
        return types.SimpleNamespace(
            __version__='9', backends=types.SimpleNamespace(
                cudnn=types.SimpleNamespace(allow_tf32=True, benchmark=False)),
            get_float32_matmul_precision=lambda: 'medium',
            set_float32_matmul_precision=lambda word: gpu.log.append(word),
            compiler=types.SimpleNamespace(reset=lambda: gpu.log.append('reset')),
            compile=lambda function: function,
            autograd=types.SimpleNamespace(DeviceType=types.SimpleNamespace(CUDA='on GPU')),
            profiler=types.SimpleNamespace(
                profile=Profile, ProfilerActivity=types.SimpleNamespace(CUDA='gpu')),
            cuda=types.SimpleNamespace(
                is_available=lambda: True, Stream=Stream, CUDAGraph=CUDAGraph,
                current_stream=Stream, stream=lambda stream: region('aside', stream),
                graph=lambda graph, stream=None: region('capture', stream or Stream())))


class Clock:
    """A clock on which each function takes the seconds that it has as its attribute."""

    name = 'a made-up clock'
    device = None

    def seconds(self, function, n_calls):
        return n_calls * function.takes

    def launches(self, function):
        return 7

    def free(self):
        pass


def made(result, seconds, **attributes):
    """Return a function that makes a function which returns a result and takes some seconds."""
    def function():
        if isinstance(result, Exception):
            raise result
        return result
    vars(function).update(takes=seconds, **attributes)
    return lambda: function
