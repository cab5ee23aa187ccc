"""The shape of the ink of grey images: measurements, what moves them, what training saw."""
