"""The engine: data, models, losses, optimisation, metrics. It knows no terminal."""
