"""What each kernel must compute: one file for each file in ``minichain/gpu/kernels``.

A file registers its kernels with :func:`tests.gpu.registry.reference`; test_kernels.py finds it.
"""
