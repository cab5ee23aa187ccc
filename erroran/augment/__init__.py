"""Class-conditional augmentation: keyed randomness, morphology, hypothesis specs, the Keras adaptor."""
