"""Caffe networks: read from and written to caffemodel and prototxt files."""
