"""Running exported models: their metadata, ONNX Runtime, OpenVINO."""
