"""What minichain costs and what its models reach, beside a peer that does the same.

One file a question; ``python -m benchmarks --help`` lists them. Figures measured so far stand in
RESULTS.md. ``python -m benchmarks.gpu_run --out FOLDER`` does all that wants a GPU in one run.
"""
import os

# One thread each, before NumPy is imported, unless --threads says more: the ratio shall compare
# libraries, not schedulers.
for _name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ.setdefault(_name, '1')
