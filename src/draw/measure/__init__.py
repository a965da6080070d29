"""What is measured on a model."""
