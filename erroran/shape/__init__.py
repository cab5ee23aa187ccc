"""The shape of the ink of grey images: measurements, how operations change them, and how they relate to errors."""
