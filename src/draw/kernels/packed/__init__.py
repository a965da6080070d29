"""The unroll on a GPU in plain torch: one compiled glimpse of packed weights, and its gradient.

Weights of products that share an operand lie side by side, packed and rounded once per sequence;
`torch.compile` makes a few kernels of a glimpse (glimpse.py) and of its gradient, derived in
draw/kernels/unroll_backward.py; weight gradients are one product over all steps (sequence.py).
"""
