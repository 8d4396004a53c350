"""What the black-box tests share: server processes, and the two languages that they speak."""
