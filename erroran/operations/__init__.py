"""Operations on images: one table of them, and the functions that it refers to. uint8 (N, H, W, C) in and out."""
