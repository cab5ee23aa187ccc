"""The only place that uses Keras: models, batches, fit, predict."""
