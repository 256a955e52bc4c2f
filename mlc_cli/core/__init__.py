"""The engine: data sets, images, models, training, evaluation, export. It knows no terminal."""
