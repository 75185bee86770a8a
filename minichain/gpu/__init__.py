"""The GPU: kernels in CUDA C++, what compiles and launches them, and a simulator to run them here.

``kernels/*.cu`` are the kernels, each file with one concept. The Python file of the same name says
what is computed and launches them; see ARCHITECTURE.md, "The ways to the GPU".
"""
from minichain.gpu.capture import compile_step
from minichain.gpu.dispatch import kernels

__all__ = ['compile_step', 'kernels']
