"""What is measured inside the process of one cell, by pytest-benchmark."""
