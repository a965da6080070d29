"""The models: DRAW, the recurrent attention classifier, and the convolutional baseline."""
