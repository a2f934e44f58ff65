"""ONNX: a fitted pipeline becomes a graph (`convert`), and a graph becomes a served model (`session`)."""
