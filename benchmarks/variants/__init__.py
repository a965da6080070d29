"""The paper's model and each change of it, at equal cost."""
