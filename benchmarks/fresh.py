"""Functions of these benchmarks in processes of their own, whose memory nobody else has used."""
import json
import os
import re
import resource
import subprocess
import sys

from benchmarks.machine import THREAD_VARIABLES, n_threads

SCRIPT = ('import json, sys; from benchmarks import {module}; '
          'print(json.dumps({module}.{function}(*json.loads(sys.argv[1]))))')
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def call(module, function, *arguments):
    """Run a function of a module of benchmarks in a fresh process.

    Args:
        module: its name without 'benchmarks.'.
        function: its name; it returns a dict for JSON.
        arguments: for JSON.
    Returns:
        What it returned.
    """
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT.format(module=module, function=function),
         json.dumps(arguments)], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(n_threads()))})
    if done.returncode:
        raise RuntimeError(f'{function}{arguments}: {done.stderr.strip() or done.returncode}')
    return json.loads(done.stdout)


def memory(kind='VmHWM'):
    """Return the resident memory of this process in MiB.

    Args:
        kind: 'VmHWM', the peak so far, or 'VmRSS', what it has now.
    """
    try:
        with open('/proc/self/status') as file:
            return int(re.search(kind + r':\s*(\d+)', file.read())[1]) / 2 ** 10
    except OSError:     # not Linux: the peak, in bytes on macOS and in KiB elsewhere
        unit = 2 ** 20 if sys.platform == 'darwin' else 2 ** 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
