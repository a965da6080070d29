"""Configs of models, data, training and runs, as frozen dataclasses that check themselves."""
