"""The fast unroll: the same contract as the loop in draw/model/draw.py, in one operator.

`choice` decides which of the two a model uses, `unroll` is the operator, `native/` what it runs.
"""
