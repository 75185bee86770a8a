"""A function of Chainer, which needs an older NumPy, in a process of its own."""
import json
import os
import subprocess
import tempfile

import numpy as np

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'chainer_worker.py')


class RemoteFunction:
    """A computation of ``chainer_worker.py``.

    Called, it returns the outputs of its first run, a list of arrays.

    Args:
        python: path of the Python of an environment that has Chainer.
        job: which function of the worker, and its settings, for JSON.
        arrays: dict name -> array: its operands and weights.
    Raises:
        RuntimeError: it does not run; the message is the last line of what it printed.
    """

    def __init__(self, python, job, arrays):
        self._folder = tempfile.TemporaryDirectory()
        with open(self._path('job.json'), 'w') as file:
            json.dump(job, file)
        np.savez(self._path('arrays.npz'), **arrays)
        with open(self._path('errors.txt'), 'w') as errors:
            try:
                self._process = subprocess.Popen(
                    [python, WORKER, self._folder.name], stdin=subprocess.PIPE, stderr=errors,
                    stdout=subprocess.PIPE, text=True)
            except OSError as error:
                self._folder.cleanup()
                raise RuntimeError(f'{python} does not start: {error.strerror}') from error
        self._answer()
        with np.load(self._path('outputs.npz'), allow_pickle=False) as file:
            self._outputs = [file[f'arr_{i}'] for i in range(len(file.files))]

    def _path(self, name):
        return os.path.join(self._folder.name, name)

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            with open(self._path('errors.txt')) as file:
                printed = file.read().strip() or f'it ended with {self._process.wait()}'
            self.close()
            raise RuntimeError(printed.splitlines()[-1])
        return json.loads(line)

    def __call__(self):
        return self._outputs

    def time(self, n_calls):
        """Return (wall seconds, CPU seconds) of some calls."""
        self._process.stdin.write(f'{n_calls}\n')
        self._process.stdin.flush()
        return tuple(self._answer())

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


def chainer_function(table, options, job, arrays, opened):
    """Return {'Chainer': RemoteFunction}, or {} with a note where there is none.

    Args:
        table: gets the note.
        options: of the command line; ``chainer`` is the path of a Python, or None.
        job, arrays: as of RemoteFunction.
        opened: list that the RemoteFunction is added to, for closing.
    """
    if not options.chainer:
        return {}
    try:
        opened.append(RemoteFunction(options.chainer, job, arrays))
    except RuntimeError as error:
        table.note(f'Chainer does not run: {error}')
        return {}
    return {'Chainer': opened[-1]}
