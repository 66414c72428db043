"""What is measured inside the process of one case, by pytest-benchmark."""
