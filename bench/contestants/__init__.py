"""One script a contestant, each as its library's documentation says, run by its own interpreter."""
