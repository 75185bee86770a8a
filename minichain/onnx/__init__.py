"""ONNX models, read, run, trained further, and written.

Read ``schema`` and ``tensors`` for the file format, ``graph`` for what a file says, ``operators``
and ``net`` for what it computes, ``exporting`` for the way back.
"""
from minichain.onnx.exporting import export, export_captioner
from minichain.onnx.net import OnnxFunction, load
