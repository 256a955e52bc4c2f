"""Running exported models: what their files know, ONNX Runtime, OpenVINO."""
