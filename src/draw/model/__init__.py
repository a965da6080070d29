"""The models: DRAW, the classifier, and the network that the paper compares with."""
