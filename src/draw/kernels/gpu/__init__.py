"""One Triton kernel for all T steps of DRAW, and one for its gradient.

A program takes some images through all steps, and the weights stream by from the L2 cache at each:
no launch and no synchronisation of the whole card between steps. unroll.py is the way in.
"""
