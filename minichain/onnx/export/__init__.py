"""From define-by-run code to ONNX files: traced, converted function by function, checked."""
from minichain.onnx.export.captions import export_captioner
from minichain.onnx.export.exporter import export
