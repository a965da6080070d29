"""What is made of images before a model sees them."""
