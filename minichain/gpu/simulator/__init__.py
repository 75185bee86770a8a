"""A CUDA device made of a C++ compiler: the same kernels, launched by the same Python code.

Kernels that are given NumPy arrays run here. :func:`simulation` chooses the order in which threads
take turns, and sanitizers; read cusim.h for what CUDA means on a CPU, then scheduler.cpp.
"""
from minichain.gpu.simulator.machine import ORDERS, Simulator, simulation

__all__ = ['ORDERS', 'Simulator', 'simulation']
