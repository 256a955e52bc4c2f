"""Export to ONNX, OpenVINO IR and INT8, and the comparison of the files with their checkpoint."""
