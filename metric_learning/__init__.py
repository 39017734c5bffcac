"""Metric learning on TensorFlow and Keras: encoders whose distances mean something."""
