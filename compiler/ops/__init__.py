"""The op table: what each ONNX operator means to the compiler."""
