"""Samples without PyTorch, from a folder that `flowmodel export` wrote.

    from flowmodel import OnnxGenerator

    [pizza] = OnnxGenerator.load("icons").images(["pizza"])
    pizza.save("pizza.png")

This needs numpy, onnxruntime and tokenizers, and Pillow for :meth:`OnnxGenerator.images`; nothing here imports anything else.
"""
