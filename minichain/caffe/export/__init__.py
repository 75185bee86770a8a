"""From define-by-run code to Caffe's files: traced, converted function by function, checked.

Read ``network`` for what is built, ``layers``, ``arithmetic`` and ``windows`` for which layer each
function becomes, ``exporter`` for the files.
"""
from minichain.caffe.export.exporter import export
