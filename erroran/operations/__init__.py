"""What can be done to images: one table of operations, and the functions behind it. uint8 (N, H, W, C) in and out."""
