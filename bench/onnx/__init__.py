"""ONNX files: written from a network, run by onnxruntime.

In: a network and its inputs. Out: the bytes of a file, and what onnxruntime makes of arrays.
"""
