"""From define-by-run code to ONNX files: traced, converted function by function, checked."""
from minichain.onnx.exporting.captions import export_captioner
from minichain.onnx.exporting.exporter import export
