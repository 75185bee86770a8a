"""Caffe networks, read from and written to caffemodel and prototxt files.

Read ``schema``, ``wire`` and ``prototxt`` for the files, ``network`` for the description that they
give, ``layers`` and ``net`` for what it computes, ``writer`` for the way back.
"""
from minichain.caffe.mean import load_mean
from minichain.caffe.net import CaffeFunction, load
from minichain.caffe.writer import save
